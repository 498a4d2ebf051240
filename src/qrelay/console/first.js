// Runs before anything is drawn: the theme and the language somebody chose, so that nothing flashes. No module.
(() => {
  const root = document.documentElement;
  let chosen = {};
  try {
    chosen = JSON.parse(localStorage.getItem("qrelay.look") ?? "{}") ?? {};
  } catch {
    chosen = {}; // storage may be off, or hold something of somebody else
  }
  if (chosen.theme === "light" || chosen.theme === "dark") root.dataset.theme = chosen.theme;
  const spoken = chosen.language ?? navigator.languages.find((tag) => /^(en|zh)\b/i.test(tag)) ?? "en";
  root.lang = /^zh/i.test(spoken) ? "zh-CN" : "en";
})();
