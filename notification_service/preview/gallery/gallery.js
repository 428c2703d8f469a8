// Everything works without this; with it the page follows the files, and the frame is as high as its mail.
"use strict";

const frame = document.querySelector("iframe");
const state = document.getElementById("state");
const place = () => location.pathname + new URLSearchParams(location.search).get("tab");

if (matchMedia("(max-width: 760px)").matches) document.querySelector("aside details").open = false;

// The same spot of the mail after a save, and in another language, scheme or width.
history.scrollRestoration = "manual";
addEventListener("pagehide", () => sessionStorage.setItem("spot", JSON.stringify([place(), scrollY])));
function back() {
  const [where, y] = JSON.parse(sessionStorage.getItem("spot") || "[]");
  if (where === place()) scrollTo(0, y);
}

function fit() {
  const mail = frame.contentDocument && frame.contentDocument.documentElement;
  if (!mail) return;
  frame.height = 0;
  frame.height = Math.max(mail.scrollHeight, 200);
  back();
}

if (frame && frame.contentDocument && frame.contentDocument.readyState === "complete" && frame.contentDocument.URL !== "about:blank") fit();
if (frame) frame.addEventListener("load", fit);
else back();

async function follow() {
  if (!document.hidden) {
    try {
      const answer = await fetch(document.body.dataset.root + "/version", { cache: "no-store" });
      if ((await answer.text()) !== document.body.dataset.version) return location.reload();
      state.textContent = "";
    } catch {
      state.textContent = "The preview has stopped: start it again with notification-service preview --serve";
    }
  }
  setTimeout(follow, 700);
}
setTimeout(follow, 700);
