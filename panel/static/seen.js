// Marks rows that changed since this browser last showed the object. The time of the last look is kept in the browser.
(() => {
  "use strict";
  const texts = document.querySelector(".lp-page").dataset;
  const looks = new Map();
  const own = new Set();

  // The time of the look before this one; Infinity at the first. Where a browser keeps nothing, every look is the first.
  function lastLook(place) {
    const key = `leafpanel-looked:${place}`;
    try {
      if (!looks.has(place)) looks.set(place, Date.parse(window.localStorage.getItem(key)) || Infinity);
      window.localStorage.setItem(key, document.querySelector("#lp-strip time[data-ago]").dateTime);
    } catch {
      looks.set(place, Infinity);
    }
    return looks.get(place);
  }

  function mark() {
    const body = document.getElementById("lp-body");
    if (!body || !body.dataset.poll || body.hasAttribute("data-degraded")) return;
    const last = lastLook(new URL(body.dataset.poll, window.location.href).pathname);
    const changed = [...body.querySelectorAll(".lp-row[data-updated]:has(.lp-meta)")].filter((row) => Date.parse(row.dataset.updated) > last && !own.has(row.id));
    changed.filter((row) => !row.querySelector(".lp-changed")).forEach((row) => row.querySelector(".lp-meta").append(words(texts.textChanged)));
    count(body.querySelector(".lp-summary"), changed.length);
  }

  function count(summary, number) {
    const text = texts.textChangedCount.replace("{n}", number);
    const place = summary && summary.querySelector(".lp-changed");
    if (!summary || (place ? place.textContent === text : !number)) return;
    if (place) place.remove();
    if (number) summary.append(words(text));
  }

  function words(text) {
    const element = document.createElement("span");
    element.className = "lp-changed";
    element.textContent = text;
    return element;
  }

  // What a person changes here is no news.
  document.addEventListener("submit", (event) => {
    const row = event.target.closest(".lp-row");
    if (row) own.add(row.id);
  }, true);
  document.addEventListener("htmx:after:swap", mark);
  document.addEventListener("leafpanel:shown", mark);
  mark();
})();
