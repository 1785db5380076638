// Before the first paint: colours, the open tab, and this browser's name.
(() => {
  const root = document.documentElement;
  const keep = (key, value) => { try { localStorage.setItem(key, value); } catch { /* private window: lives for this page */ } };
  const kept = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => {
    const choice = kept("gesso.theme") || window.GESSO.theme;
    root.dataset.theme = choice === "system" ? (dark.matches ? "dark" : "light") : choice;
    root.dataset.themeChoice = choice;
    root.style.colorScheme = root.dataset.theme;
    document.body?.classList.toggle("dark", root.dataset.theme === "dark"); // Gradio's own name for it
  };
  paint();
  dark.addEventListener("change", paint);
  window.GESSO.paint = paint;
  window.GESSO.setTheme = (choice) => { keep("gesso.theme", choice); paint(); };
  root.dataset.tab = decodeURIComponent(location.hash.slice(1)) || kept("gesso.tab") || window.GESSO.tab;
  if (/Mac|iPhone|iPad/.test(navigator.platform)) root.classList.add("mac");
  if (!/(^|; )gesso_browser=[\w-]{8,64}/.test(document.cookie)) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    const name = kept("gesso.browser") || Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    document.cookie = `gesso_browser=${name}; path=/; max-age=34560000; samesite=lax`;
    keep("gesso.browser", name);
  }
})();
