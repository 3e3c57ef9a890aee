"use strict";
// A link from another site hides the session's cookie; a request of this page's own has it.

async function skipLogin() {
  const form = document.getElementById("login");
  const answer = await fetch(form.dataset.session, { cache: "no-store" });
  if (answer.ok && (await answer.json()).isPerson) location.replace(form.elements.next.value);
}

if (!document.getElementById("refused").textContent) skipLogin();
