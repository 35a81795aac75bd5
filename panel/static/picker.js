// The search box as a combobox over all leaves of the object. Focus stays in the box; the list of results pushes the
// rows down. Each leaf is asked by itself: the leaf of the page fills #lp-results, the others fill their groups, which
// stand in #lp-beside while the list is closed. Without this file the box is a search form with a result page.
(() => {
  "use strict";
  const DEBOUNCE_MS = 250;
  const MIN_LENGTH = 2;
  const LONGEST = 2000;
  const byId = (id) => document.getElementById(id);
  const box = () => byId("lp-q");
  const options = () => [...document.querySelectorAll("#lp-options [role=option]")];
  const groups = () => [...document.querySelectorAll(".lp-group")];
  const usable = (option) => !option.hasAttribute("aria-disabled");
  const asked = new Map();
  let timer = 0;
  let searched = null;
  let swapping = false;
  let pressed = false;
  // Whether the active option was chosen with an arrow key, so that a blank ticks it and is no part of the words.
  let moved = false;
  // Whether Enter was pressed before the results of the typed text came.
  let hurried = false;
  let firstNew = null;

  // --- the list ------------------------------------------------------------------------------------------------------

  const isOpen = () => box().getAttribute("aria-expanded") === "true";

  function shelve() {
    groups().forEach((group) => byId("lp-beside").append(group));
  }

  function place() {
    const list = byId("lp-options");
    if (list && byId("lp-beside")) groups().forEach((group) => list.append(group));
  }

  function close() {
    window.clearTimeout(timer);
    [box(), ...groups()].forEach((one) => window.htmx.trigger(one, "htmx:abort"));
    asked.clear();
    hurried = false;
    if (byId("lp-beside")) shelve();
    groups().forEach((group) => group.replaceChildren());
    byId("lp-results").replaceChildren();
    box().setAttribute("aria-expanded", "false");
    searched = null;
    activate(null);
    showTicks();
  }

  function activate(option) {
    options().forEach((one) => one.setAttribute("aria-selected", String(one === option)));
    if (option) box().setAttribute("aria-activedescendant", option.id);
    else box().removeAttribute("aria-activedescendant");
    if (option) option.scrollIntoView({ block: "nearest" });
    else moved = false;
  }

  const active = () => options().find((one) => one.getAttribute("aria-selected") === "true");

  function move(step) {
    const all = options();
    if (!all.length) return;
    const at = all.indexOf(active());
    activate(all[at < 0 ? (step > 0 ? 0 : all.length - 1) : (at + step + all.length) % all.length]);
    moved = true;
  }

  // --- searching -----------------------------------------------------------------------------------------------------

  const titlesOnly = () => byId("lp-titles").getAttribute("aria-pressed") === "true";
  const wanted = () => JSON.stringify([box().value.trim(), titlesOnly()]);

  function search() {
    const text = box().value.trim();
    window.clearTimeout(timer);
    if (wanted() === searched || (text && text.length < MIN_LENGTH)) return;
    searched = wanted();
    showSearching();
    // The latest changes are those of the page's leaf; the others are asked for words.
    const all = [box(), ...(text ? groups() : [])];
    if (!text) groups().forEach((group) => group.replaceChildren());
    all.forEach((one) => asked.set(one, null));
    all.forEach((one) => {
      if (titlesOnly()) one.setAttribute("hx-vals", '{"titles": "1"}');
      else one.removeAttribute("hx-vals");
      window.htmx.trigger(one, "lp:search");
    });
  }

  function toggleTitles() {
    byId("lp-titles").setAttribute("aria-pressed", String(!titlesOnly()));
    search();
  }

  // Rows stay until the new ones come. Without any, the list says at once that it is being made.
  function showSearching() {
    const words = document.querySelector(".lp-page").dataset.textSearching;
    const empty = byId("lp-searching");
    if (!byId("lp-options") && empty) {
      byId("lp-results").replaceChildren(empty.content.cloneNode(true));
      place();
    }
    const head = byId("lp-found");
    if (head) head.textContent = words;
  }

  // Debounce: search once typing pauses, not for every character.
  function searchSoon() {
    window.clearTimeout(timer);
    timer = window.setTimeout(search, DEBOUNCE_MS);
  }

  function onResults(source) {
    place();
    const focus = document.activeElement;
    if (!inside(focus)) return close();
    const list = byId("lp-options");
    box().setAttribute("aria-expanded", String(Boolean(list)));
    // The active option went with the old results, unless it is in a group that stayed.
    if (!active()) activate(null);
    if (list) list.hidden = !options().length && !list.querySelector(".lp-group-label");
    showMore();
    markExact();
    showTicks();
    if (firstNew && source === firstNew.source) chooseFirstNew();
    return settle(source);
  }

  const exact = () => options().filter((one) => "exact" in one.dataset && usable(one));

  // What the text names needs no arrow: one item is active, several are ticked.
  function markExact() {
    const named = exact();
    if (named.length === 1 && !active() && !ticked().length) activate(named[0]);
    if (named.length > 1 && !moved) {
      activate(null);
      named.filter((one) => !("seen" in one.dataset)).forEach((one) => { one.dataset.seen = ""; one.setAttribute("aria-checked", "true"); });
      options().filter((one) => "exact" in one.dataset).forEach((one) => { one.dataset.seen = ""; });
    }
  }

  function showMore() {
    const slot = byId("lp-more");
    if (!slot) return;
    slot.querySelectorAll("[data-made]").forEach((one) => one.remove());
    document.querySelectorAll("#lp-options [data-words]").forEach((one) => {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", className: "lp-link-button", textContent: one.dataset.words });
      Object.assign(button.dataset, { made: "", more: one.dataset.more, leaf: one.dataset.leaf });
      slot.append(button);
    });
  }

  // The button is replaced, so the focus goes to the box and the first new row is the active one.
  function loadMore({ more, leaf }) {
    const group = byId(`lp-group-${leaf}`);
    firstNew = { source: group || box(), leaf, at: options().filter((one) => one.dataset.leaf === leaf).length };
    box().focus();
    window.htmx.ajax("GET", more, { source: firstNew.source, target: group || byId("lp-results"), swap: "innerHTML" });
  }

  function chooseFirstNew() {
    const all = options().filter((one) => one.dataset.leaf === firstNew.leaf);
    if (all[firstNew.at]) activate(all[firstNew.at]);
    moved = true;
    firstNew = null;
  }

  // --- Enter before the results --------------------------------------------------------------------------------------

  function settle(source) {
    asked.delete(source);
    if (!hurried) return;
    const named = exact();
    const number = Number(byId("lp-options") ? byId("lp-options").dataset.named : 0);
    if (asked.size && (!number || named.length < number)) return;
    hurried = false;
    if (named.length) link(named);
    else if (options().some((one) => !("exact" in one.dataset))) byId("lp-find").requestSubmit();
  }

  function hurry() {
    hurried = true;
    search();
    if (!asked.size) settle(null);
  }

  const isWaiting = () => wanted() !== searched || asked.size > 0;

  // --- linking -------------------------------------------------------------------------------------------------------

  const ticked = () => options().filter((one) => usable(one) && one.getAttribute("aria-checked") === "true");

  function tick(option) {
    if (!option || !usable(option)) return;
    option.setAttribute("aria-checked", String(option.getAttribute("aria-checked") !== "true"));
    showTicks();
  }

  function showTicks() {
    const line = byId("lp-ticked");
    if (!line) return;
    const number = ticked().length;
    const button = byId("lp-link-ticked");
    line.hidden = !number;
    document.querySelectorAll("#lp-options").forEach((list) => list.toggleAttribute("data-ticking", number > 0));
    button.textContent = number === 1 ? button.dataset.one : button.dataset.many.replace("{n}", number);
  }

  function link(chosen) {
    const free = chosen.filter((one) => one && usable(one) && !("busy" in one.dataset));
    if (!free.length) return;
    const form = byId("lp-link");
    const own = form.getAttribute("data-leaf");
    form.querySelectorAll("[data-made]").forEach((one) => one.remove());
    form.elements.reference.value = "";
    free.forEach((option) => {
      const { leaf, reference } = option.dataset;
      const field = document.createElement("input");
      Object.assign(field, { type: "hidden", name: leaf === own ? "reference" : "elsewhere" });
      field.value = leaf === own ? reference : `${leaf} ${reference}`;
      field.dataset.made = "";
      form.append(field);
      option.dataset.busy = "";
    });
    form.requestSubmit();
  }

  // The button is hidden afterwards, so the focus goes to the box.
  function linkTicked() {
    box().focus();
    link(ticked());
  }

  function optionOf(name, value) {
    const own = byId("lp-link").dataset.leaf;
    const key = name === "reference" ? `${own} ${value}` : value;
    return options().find((one) => `${one.dataset.leaf} ${one.dataset.reference}` === key);
  }

  // The swap removes the Undo form, so its references are read before.
  function beforeSwap(ctx) {
    const { id } = ctx.sourceElement;
    if (!["lp-link", "lp-undo"].includes(id)) return;
    options().forEach((one) => { delete one.dataset.busy; });
    if (ctx.response.status >= 400) return;
    const fields = ctx.sourceElement.querySelectorAll("[name=reference], [name=elsewhere]");
    ctx.linked = { undone: id === "lp-undo", pairs: [...fields].filter((one) => one.value).map((one) => [one.name, one.value]) };
  }

  function onLinked({ undone, pairs }) {
    pairs.map((pair) => optionOf(...pair)).filter(Boolean).forEach((option) => {
      option.toggleAttribute("data-just", !undone);
      if (undone) option.removeAttribute("aria-disabled");
      else option.setAttribute("aria-disabled", "true");
      if (undone) option.setAttribute("aria-checked", "false");
      else option.removeAttribute("aria-checked");
    });
    showTicks();
    if (undone && box()) box().focus();
  }

  // --- keys ------------------------------------------------------------------------------------------------------------

  function onEnter(event) {
    if (ticked().length) link(ticked());
    else if (active()) link([active()]);
    else if (box().value.trim() && isWaiting()) hurry();
    else return;
    event.preventDefault();
  }

  function onKey(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (isOpen() && options().length) move(event.key === "ArrowDown" ? 1 : -1);
      else { searched = null; search(); }
    } else if (event.key === "Enter") {
      onEnter(event);
    } else if (event.key === " " && moved && active()) {
      event.preventDefault();
      tick(active());
    } else if (event.key === "Escape") {
      event.preventDefault();
      if (byId("lp-results").childElementCount) close();
      else box().value = "";
    }
  }

  // A mail has lines, and may be longer than the box: of a long one the addresses are kept.
  function onPaste(event) {
    const text = event.clipboardData ? event.clipboardData.getData("text") : "";
    if (!/[\r\n]/.test(text.trim()) && text.length <= LONGEST) return;
    const addresses = [...new Set(text.match(/https?:\/\/[^\s<>"]+/gi) || [])].join(" ");
    event.preventDefault();
    const kept = text.trim().length > LONGEST && addresses ? addresses : text.trim().replace(/\s+/g, " ");
    box().setRangeText(kept.slice(0, LONGEST), box().selectionStart, box().selectionEnd, "end");
    box().dispatchEvent(new Event("input", { bubbles: true }));
  }

  const inside = (element) => element && (element === box() || element.closest("#lp-picker, #lp-titles"));

  // Runs after a click elsewhere: closing the list moves the rows, and the click would miss its target.
  function closeUnlessRefocused() {
    if (box() && document.hasFocus() && !inside(document.activeElement)) close();
  }

  document.addEventListener("keydown", (event) => { if (event.target === box()) onKey(event); });
  document.addEventListener("paste", (event) => { if (event.target === box()) onPaste(event); });
  document.addEventListener("input", (event) => {
    if (event.target !== box()) return;
    hurried = false;
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
    const more = event.target.closest("[data-more]");
    if (option && event.target.closest(".lp-tick")) tick(option);
    else if (option) link([option]);
    else if (more) loadMore(more.dataset);
    else if (event.target.closest("#lp-link-ticked")) linkTicked();
    else if (event.target.closest("#lp-titles")) toggleTitles();
  });
  document.addEventListener("htmx:before:request", (event) => {
    const { ctx } = event.detail;
    if (asked.has(ctx.sourceElement)) asked.set(ctx.sourceElement, ctx);
  });
  document.addEventListener("htmx:before:swap", (event) => {
    swapping = true;
    const { ctx } = event.detail;
    if (ctx.sourceElement === box() && byId("lp-beside")) shelve();
    beforeSwap(ctx);
  });
  document.addEventListener("htmx:finally:swap", () => { swapping = false; });
  document.addEventListener("htmx:after:swap", (event) => {
    const { ctx } = event.detail;
    if (ctx.target && ctx.target.id === "lp-tab") { searched = null; asked.clear(); }
    if (box() && (ctx.sourceElement === box() || ctx.sourceElement.matches(".lp-group"))) onResults(ctx.sourceElement);
    if (ctx.linked) onLinked(ctx.linked);
  });
  // Also after a failure without an answer, but not after a request that a newer one replaced.
  document.addEventListener("htmx:finally:request", (event) => {
    const { ctx } = event.detail;
    if (ctx.sourceElement.id === "lp-link") options().forEach((one) => { delete one.dataset.busy; });
    if (asked.get(ctx.sourceElement) === ctx) settle(ctx.sourceElement);
  });
  // The user typed before this file was loaded.
  if (box() && box() === document.activeElement && box().value !== box().defaultValue) searchSoon();
})();
