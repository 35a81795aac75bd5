// Tells the panel the time zone of the browser, in which it prints times: with a cookie on pages, and with a header on
// requests for fragments, also in frames, where no cookie is kept.
(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone) return;
  if (window.parent === window) {
    const secure = window.location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `leafpanel-zone=${zone}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
  }
  document.addEventListener("htmx:config:request", (event) => {
    event.detail.ctx.request.headers["X-Leafpanel-Zone"] = zone;
  });
})();
