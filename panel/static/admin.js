// The copy buttons of the administration pages. Without a script, or without a clipboard, they stay hidden and the text
// can be selected.
(() => {
  if (!navigator.clipboard) return;
  document.querySelectorAll("[data-copy]").forEach((button) => { button.hidden = false; });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.querySelector("span").textContent = button.dataset.copied;
    document.getElementById("ad-status").textContent = button.dataset.copied;
  });
})();
