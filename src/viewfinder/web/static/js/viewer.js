// Shows HTML from the page around it. Who may frame this, and that nothing in it runs, is said in
// the headers of /viewer; what is taken out here would do nothing either, but for a meta that leads
// elsewhere.
(() => {
  const IDLE = "script, base, link, meta, iframe, frame, frameset, object, embed, form, template";
  addEventListener("message", ({ source, data }) => {
    if (source !== parent || typeof data !== "string") return;
    const shown = new DOMParser().parseFromString(data, "text/html");
    for (const element of shown.querySelectorAll(IDLE)) element.remove();
    document.documentElement.replaceWith(document.adoptNode(shown.documentElement));
  });
  parent.postMessage("viewer-ready", "*");
})();
