// Draws every chart of a page from its specification, without eval: Vega's interpreter reads the syntax tree.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const places = [...document.querySelectorAll(".vega")];
  const views = new Map();

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const front = style.getPropertyValue("--front").trim();
    const line = style.getPropertyValue("--line").trim();
    return {
      background: "transparent",
      axis: { labelColor: front, titleColor: front, gridColor: line, domainColor: line, tickColor: line },
      legend: { labelColor: front, titleColor: front },
      view: { stroke: line },
    };
  }

  async function draw(place) {
    const specs = await SFT.need("charts/" + place.dataset.page);
    const options = {
      ast: true, actions: false, defaultStyle: false, renderer: "svg", config: colours(),
      tooltip: { disableDefaultStyle: true, theme: "custom" },
    };
    const drawn = await vegaEmbed(place, specs[place.dataset.chart], options);
    if (views.has(place)) views.get(place).finalize();
    views.set(place, drawn.view);
    for (const mark of place.querySelectorAll("[role]")) mark.removeAttribute("role");
    place.querySelector("svg").setAttribute("aria-hidden", "true");
  }

  function save(place, type) {
    const link = SFT.make("a", "", { download: place.dataset.chart + "." + type });
    views.get(place).toImageURL(type, 2).then((url) => { link.href = url; link.click(); });
  }

  for (const place of places) {
    draw(place).catch((error) => { place.textContent = "This chart could not be drawn: " + error.message; });
    for (const type of ["svg", "png"]) {
      const button = SFT.make("button", type.toUpperCase(), { type: "button", "aria-label": "Save as " + type });
      button.addEventListener("click", () => save(place, type));
      place.parentElement.querySelector(".saves").append(button, " ");
    }
  }
  document.addEventListener("theme", () => places.forEach((place) => { draw(place).catch(() => {}); }));
});
