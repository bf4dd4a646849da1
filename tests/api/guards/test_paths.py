"""What the guards know of the addresses, the routes have."""

from viewfinder.api.guards.paths import MANY_PHOTOS, ONE_PHOTO, PHOTOS
from viewfinder.app import create_app
from viewfinder.settings import Settings


def test_the_guards_know_every_route_that_takes_photos() -> None:
    posted = {
        path: operations["post"]
        for path, operations in create_app(Settings()).openapi()["paths"].items()
        if "post" in operations and path.endswith("classify")
    }
    assert posted.keys() == PHOTOS
    for paths, field in ((ONE_PHOTO, "file"), (MANY_PHOTOS, "files")):
        for path in paths:
            form = posted[path]["requestBody"]["content"]["multipart/form-data"]
            assert form["schema"]["required"] == [field]
