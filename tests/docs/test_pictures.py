"""Pictures of the documentation that are drawn from its tables."""

from scripts import draw_goodput


def test_the_plot_of_goodput_shows_what_the_table_says() -> None:
    drawn = draw_goodput.draw(draw_goodput.goodputs(draw_goodput.TABLE.read_text("utf-8")))
    assert draw_goodput.PICTURE.read_text("utf-8") == drawn, (
        "draw it again: python scripts/draw_goodput.py"
    )
