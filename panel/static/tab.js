// Announcements for screen readers, focus after an action, and the age of the list. The tab works without this file.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const texts = document.querySelector(".lp-page").dataset;
  let focusNext = [];
  let walks = false;

  // --- announcements: one polite live region, outside of all swapped elements ------------------------------------

  function announce(text) {
    const region = byId("lp-status");
    if (!region || !text) return;
    region.textContent = "";
    window.setTimeout(() => { region.textContent = text; }, 50);
  }

  function announceChanges() {
    const changes = document.querySelectorAll("[data-announce]");
    announce([...changes].map((one) => one.dataset.announce).join(". "));
    changes.forEach((one) => one.removeAttribute("data-announce"));
  }

  // --- age of the list ---------------------------------------------------------------------------------------------

  function ago(moment) {
    const seconds = Math.max(0, Math.round((Date.now() - Date.parse(moment)) / 1000));
    if (seconds < 60) return texts.textSecondsAgo.replace("{n}", seconds);
    if (seconds < 3600) return texts.textMinutesAgo.replace("{n}", Math.floor(seconds / 60));
    return texts.textHoursAgo.replace("{n}", Math.floor(seconds / 3600));
  }

  function tick() {
    if (document.hidden) return;
    document.querySelectorAll("time[data-ago]").forEach((time) => {
      const words = ago(time.dateTime);
      if (time.textContent !== words) time.textContent = words;
    });
  }

  // --- drawers -----------------------------------------------------------------------------------------------------

  function close(drawer) {
    drawer.open = false;
    drawer.querySelectorAll("form").forEach((form) => form.reset());
    drawer.querySelectorAll("details").forEach((inner) => { inner.open = false; });
    drawer.querySelector("summary").focus();
  }

  function onClick(event) {
    const target = event.target.closest("[data-opens], [data-closes], [data-focuses], [data-copies], [data-copies-typed]");
    if (!target) return;
    const { opens, closes, focuses, copies } = target.dataset;
    const drawer = opens ? byId(opens) : closes !== undefined && target.closest("details");
    if (drawer) {
      event.preventDefault();
      if (opens) openDrawer(drawer);
      else close(drawer);
    } else if (focuses && byId(focuses)) {
      event.preventDefault();
      byId(focuses).focus();
    } else if (copies) {
      copy(target, copies);
    } else if (target.dataset.copiesTyped) {
      copy(target, typedIn(byId(target.dataset.copiesTyped)));
    }
  }

  function openDrawer(drawer) {
    drawer.open = true;
    const field = drawer.querySelector(".lp-edit :is(select, input:not([type=hidden]))");
    if (field) field.focus();
  }

  // Opening a drawer moves the focus to its first field.
  function onToggle(event) {
    const drawer = event.target;
    if (!drawer.open || !drawer.matches(".lp-drawer, .lp-unlink")) return;
    const first = drawer.querySelector(".lp-edit :is(select, input:not([type=hidden])), .lp-question button");
    if (first && first.checkVisibility() && first.closest("details") === drawer) first.focus();
  }

  function copy(button, text) {
    navigator.clipboard.writeText(text).then(() => {
      button.querySelector("span").textContent = texts.textCopied;
      announce(texts.textCopied);
    });
  }

  // The labels and values of the texts in a form, one below the other.
  function typedIn(form) {
    const fields = [...form.querySelectorAll("input.form-control:not([type=search]), textarea")].filter((one) => one.value);
    return fields.map((one) => `${one.labels[0].firstChild.textContent.trim()}: ${one.value}`).join("\n");
  }

  function showCopyButtons() {
    if (!navigator.clipboard) return;
    document.querySelectorAll("[data-copies], [data-copies-typed]").forEach((button) => { button.hidden = false; });
  }

  // --- focus after an action -----------------------------------------------------------------------------------------

  function neighbours(id) {
    const rows = [...document.querySelectorAll(".lp-rows > li")];
    const at = rows.findIndex((row) => row.id === id);
    return [...rows.slice(at + 1), ...rows.slice(0, at).reverse()].map((row) => row.id.replace("row-", "title-"));
  }

  function onRequest(event) {
    const source = event.detail.ctx.sourceElement;
    focusNext = [];
    if (source.dataset.removes) focusNext = [...neighbours(source.dataset.removes), "lp-q"];
    if (source.dataset.thenFocuses) focusNext = [source.dataset.thenFocuses];
    walks = Boolean(source.closest(".lp-pages, .lp-sort, .lp-filters, .lp-summary"));
    if (source.closest(".lp-pages, .lp-summary, .lp-matching")) focusNext = ["lp-summary"];
    const menu = source.closest(".lp-sort");
    if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
    if (source.matches(".lp-tab-link")) showSkeletonLater(event.detail.ctx, source);
  }

  function placeFocus() {
    const next = focusNext.map(byId).find(Boolean);
    focusNext = [];
    if (next) next.focus();
    // In the next frame: the rows of the page before are still being removed.
    if (next && next.id === "lp-summary") window.requestAnimationFrame(() => byId("lp-summary").scrollIntoView({ block: "start" }));
  }

  // --- another part of the list: say which one ---------------------------------------------------------------------

  function announcePart() {
    if (!walks) return;
    walks = false;
    const parts = ["lp-matching", "lp-range", "lp-summary"].map(byId).filter(Boolean);
    if (parts.length) announce((parts[0].querySelector("span") || parts[0]).textContent);
  }

  // --- the person that the list was filtered by last, kept in this browser -----------------------------------------

  function remembered(select) {
    try {
      return window.localStorage.getItem(`leafpanel-person-${select.dataset.remembers}`) || "";
    } catch {
      return "";
    }
  }

  function remember(select) {
    try {
      if (select.value) window.localStorage.setItem(`leafpanel-person-${select.dataset.remembers}`, select.value);
    } catch {
      // A frame may have no storage. Then nothing is remembered.
    }
  }

  // The one that was chosen before comes first among the choices.
  function offerRemembered() {
    const select = document.querySelector("select[data-remembers]");
    const known = select && [...select.options].find((one) => one.value && one.value === remembered(select));
    if (known && known.index !== 1) select.insertBefore(known, select.options[1]);
  }

  // --- changing the tab: a skeleton after 300 ms without a response -----------------------------------------------

  function showSkeletonLater(ctx, link) {
    const body = byId("lp-body");
    const timer = window.setTimeout(() => {
      if (!body.isConnected) return;
      document.querySelectorAll(".lp-tab-link").forEach((one) => one.removeAttribute("aria-current"));
      link.setAttribute("aria-current", "page");
      byId("lp-strip").classList.add("htmx-request");
      body.replaceChildren(byId("lp-skeleton").content.cloneNode(true));
    }, 300);
    ctx.cancelSkeleton = () => window.clearTimeout(timer);
  }

  // --- failed requests ---------------------------------------------------------------------------------------------

  // A whole page in place of a fragment (session ended, internal error) must not replace the list.
  function onSwap(event) {
    const { ctx } = event.detail;
    // An element takes the focus once, not again after each swap of the list around it.
    document.querySelectorAll("[autofocus]").forEach((one) => one.removeAttribute("autofocus"));
    if (ctx.target === document.body || !/^\s*<!doctype/i.test(ctx.text)) return;
    event.preventDefault();
    if (ctx.sourceElement.matches(".lp-excerpt")) return;
    const reference = ctx.response.headers.get("X-Request-Id") || texts.textNoReference;
    showError(texts.textFailed.replace("{reference}", () => reference));
  }

  function onError(event) {
    const source = event.detail.ctx && event.detail.ctx.sourceElement;
    if (source && source.matches(".lp-excerpt")) return;
    showError(texts.textNoAnswer);
  }

  function showError(text) {
    const target = byId("lp-message") || byId("lp-body");
    const line = document.createElement("p");
    line.className = "lp-problem";
    line.setAttribute("role", "alert");
    line.textContent = text;
    if (target.id === "lp-message") target.replaceChildren(line);
    else target.prepend(line);
  }

  // The session ended before the form was submitted: submit it as a page, so that it is kept while signing in.
  function onResponse(event) {
    const { ctx } = event.detail;
    if (!ctx.response.headers.has("X-Leafpanel-Send-Whole")) return;
    const form = document.createElement("form");
    form.method = "post";
    form.action = ctx.request.action;
    form.hidden = true;
    for (const [name, value] of ctx.request.body) {
      const field = document.createElement("textarea");
      field.name = name;
      field.value = value;
      form.append(field);
    }
    document.body.append(form);
    form.submit();
  }

  // Enter in the search of a field's choices goes on to the choices, and takes the only one. It does not send the form.
  function chooseFound(event) {
    const select = byId(event.target.dataset.searches);
    event.preventDefault();
    const found = [...select.options].filter((option) => option.value);
    if (found.length === 1 && select.value !== found[0].value) {
      select.value = found[0].value;
      select.dispatchEvent(new Event("change", { bubbles: true }));
    }
    select.focus();
  }

  // A field that counts as another one while it is empty shows the text of that one.
  function follow(field) {
    document.querySelectorAll(`[data-follows="${field.id}"]`).forEach((one) => { one.placeholder = field.value; });
  }

  function followAll() {
    document.querySelectorAll("[data-follows]").forEach((one) => byId(one.dataset.follows) && follow(byId(one.dataset.follows)));
  }

  // Escape closes the innermost open drawer around the focus, and the focus returns to its button.
  function closeDrawer(event) {
    const drawer = event.target.closest(".lp-unlink[open], .lp-drawer[open]");
    if (!drawer || event.defaultPrevented || event.isComposing) return;
    event.preventDefault();
    close(drawer);
  }

  // Links with the role button react to the space bar too.
  function onKey(event) {
    if (event.key === "Escape") return closeDrawer(event);
    if (event.key === "Enter" && event.target.matches("[data-searches]")) return chooseFound(event);
    if (event.key !== " " || !event.target.matches("a[role=button]")) return;
    event.preventDefault();
    event.target.click();
  }

  document.addEventListener("click", onClick);
  document.addEventListener("keydown", onKey);
  document.addEventListener("input", (event) => event.target.id && follow(event.target));
  document.addEventListener("toggle", onToggle, true);
  document.addEventListener("leafpanel:say", (event) => announce(event.detail));
  document.addEventListener("htmx:before:request", onRequest);
  document.addEventListener("htmx:after:request", onResponse);
  document.addEventListener("htmx:before:swap", onSwap);
  document.addEventListener("htmx:error", onError);
  document.addEventListener("htmx:finally:request", (event) => event.detail.ctx.cancelSkeleton && event.detail.ctx.cancelSkeleton());
  // In a part that htmx has parsed, the content of noscript is elements: its hidden buttons would be the first of the
  // form, which Enter in a field presses.
  function removePlainButtons() {
    document.querySelectorAll("noscript").forEach((one) => one.remove());
  }

  document.addEventListener("htmx:after:swap", () => {
    removePlainButtons();
    announceChanges();
    announcePart();
    offerRemembered();
    showCopyButtons();
    followAll();
    tick();
    placeFocus();
  });
  document.addEventListener("change", (event) => { if (event.target.matches("select[data-remembers]")) remember(event.target); });
  window.setInterval(tick, 1000);
  tick();
  offerRemembered();
  showCopyButtons();
  followAll();
  document.querySelectorAll("[data-announce]").forEach((one) => one.removeAttribute("data-announce"));
})();
