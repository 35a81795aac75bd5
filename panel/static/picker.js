// The search box as a combobox. Focus stays in the box; the list of results pushes the rows down. Without this file
// the box is a search form with a result page.
(() => {
  "use strict";
  const DEBOUNCE_MS = 250;
  const MIN_LENGTH = 2;
  const byId = (id) => document.getElementById(id);
  const box = () => byId("lp-q");
  const options = () => [...document.querySelectorAll("#lp-options [role=option]")];
  let timer = 0;
  let searched = null;
  let swapping = false;
  let pressed = false;

  // --- the list ------------------------------------------------------------------------------------------------------

  const isOpen = () => box().getAttribute("aria-expanded") === "true";

  function setOpen(open) {
    box().setAttribute("aria-expanded", String(open));
    if (!open) {
      byId("lp-results").replaceChildren();
      searched = null;
      activate(null);
    }
  }

  function close() {
    window.clearTimeout(timer);
    window.htmx.trigger(box(), "htmx:abort");
    setOpen(false);
  }

  function activate(option) {
    options().forEach((one) => one.setAttribute("aria-selected", String(one === option)));
    if (option) box().setAttribute("aria-activedescendant", option.id);
    else box().removeAttribute("aria-activedescendant");
    if (option) option.scrollIntoView({ block: "nearest" });
  }

  const active = () => options().find((one) => one.getAttribute("aria-selected") === "true");

  function move(step) {
    const all = options();
    if (!all.length) return;
    const at = all.indexOf(active());
    activate(all[at < 0 ? (step > 0 ? 0 : all.length - 1) : (at + step + all.length) % all.length]);
  }

  // --- searching -----------------------------------------------------------------------------------------------------

  function search() {
    const text = box().value.trim();
    if (text === searched || (text && text.length < MIN_LENGTH)) return;
    searched = text;
    const head = byId("lp-found");
    if (head) head.textContent = document.querySelector(".lp-page").dataset.textSearching;
    window.htmx.trigger(box(), "lp:search");
  }

  // Debounce: search once typing pauses, not for every character.
  function searchSoon() {
    window.clearTimeout(timer);
    timer = window.setTimeout(search, DEBOUNCE_MS);
  }

  function onResults(ctx) {
    if (ctx.sourceElement !== box()) return;
    const list = byId("lp-options");
    if (document.activeElement !== box() && !document.activeElement.closest("#lp-picker")) return setOpen(false);
    box().setAttribute("aria-expanded", String(Boolean(list)));
    box().removeAttribute("aria-activedescendant");
    const only = list && "exact" in list.dataset ? options()[0] : null;
    if (only && !only.hasAttribute("aria-disabled")) activate(only);
  }

  // --- linking -------------------------------------------------------------------------------------------------------

  function link(option) {
    if (!option || option.hasAttribute("aria-disabled")) return;
    const form = byId("lp-link");
    form.elements.reference.value = option.dataset.reference;
    form.requestSubmit();
  }

  const optionOf = (reference) => options().find((one) => one.dataset.reference === reference);

  // The swap removes the Undo form, so its references are read before.
  function beforeSwap(ctx) {
    const { id } = ctx.sourceElement;
    if (!["lp-link", "lp-undo"].includes(id) || ctx.response.status >= 400) return;
    const fields = ctx.sourceElement.querySelectorAll("[name=reference]");
    ctx.linked = { undone: id === "lp-undo", references: [...fields].map((field) => field.value) };
  }

  function onLinked({ undone, references }) {
    references.map(optionOf).filter(Boolean).forEach((option) => {
      option.toggleAttribute("data-just", !undone);
      if (undone) option.removeAttribute("aria-disabled");
      else option.setAttribute("aria-disabled", "true");
    });
    if (undone && box()) box().focus();
  }

  // --- keys ------------------------------------------------------------------------------------------------------------

  function onKey(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (isOpen()) move(event.key === "ArrowDown" ? 1 : -1);
      else { searched = null; search(); }
    } else if (event.key === "Enter" && active()) {
      event.preventDefault();
      link(active());
    } else if (event.key === "Escape") {
      event.preventDefault();
      if (byId("lp-results").childElementCount) close();
      else box().value = "";
    }
  }

  const inside = (element) => element && (element === box() || element.closest("#lp-picker"));

  // Runs after a click elsewhere: closing the list moves the rows, and the click would miss its target.
  function closeUnlessRefocused() {
    if (box() && document.hasFocus() && !inside(document.activeElement)) close();
  }

  document.addEventListener("keydown", (event) => { if (event.target === box()) onKey(event); });
  document.addEventListener("input", (event) => {
    if (event.target !== box()) return;
    activate(null);
    searchSoon();
  });
  document.addEventListener("focusin", (event) => {
    if (event.target === box() && !box().value && !byId("lp-results").childElementCount) searchSoon();
  });
  document.addEventListener("focusout", (event) => {
    if (!box() || swapping) return;
    if (inside(event.target) && !inside(event.relatedTarget)) window.setTimeout(closeUnlessRefocused, pressed ? 250 : 0);
  });
  document.addEventListener("pointerdown", () => { pressed = true; });
  document.addEventListener("pointerup", () => { window.setTimeout(() => { pressed = false; }); });
  // Pressing the list does not take the focus from the box.
  document.addEventListener("mousedown", (event) => {
    if (event.target.closest("#lp-options, #lp-found, .lp-keys")) event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    const option = event.target.closest("#lp-options [role=option]");
    if (option) link(option);
  });
  document.addEventListener("htmx:before:swap", (event) => {
    swapping = true;
    beforeSwap(event.detail.ctx);
  });
  document.addEventListener("htmx:finally:swap", () => { swapping = false; });
  document.addEventListener("htmx:after:swap", (event) => {
    const { ctx } = event.detail;
    if (ctx.target && ctx.target.id === "lp-tab") searched = null;
    if (box()) onResults(ctx);
    if (ctx.linked) onLinked(ctx.linked);
  });
  // The user typed before this file was loaded.
  if (box() && box() === document.activeElement && box().value !== box().defaultValue) searchSoon();
})();
