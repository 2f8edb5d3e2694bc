// What can be done on the pages, by mouse and by keys, and that what others do appears by itself.
export default async function ({ page, assert, login, audit, until, api, host, allow }) {
  await login();
  const state = async path => (await api(path));

  // ---- force: the typed form of the scheduler
  await page.goto("/builders/slow?project=ferry");
  await page.getByRole("button", { name: "Force a build" }).click();
  const dialog = page.locator("dialog[open]");
  await dialog.getByLabel("Branch").fill("master");
  await dialog.getByLabel(/level/).selectOption("high");
  await dialog.getByLabel("Reason").fill("by the form");
  await audit("force-form", { full: false });
  await dialog.getByRole("button", { name: "Force slow" }).click();
  await page.waitForURL(/\/requests\/\d+/);
  const forced = await until(async () => (await api("/builds?builder=slow&limit=5")).items.find(b => b.reason === "by the form" && b.state === "done"), "the forced build");
  const full = await api(`/builds/${forced.id}`);
  assert.equal(full.properties.level, "high");
  assert.equal(forced.who, "admin");
  await page.locator("h1 a", { hasText: `#${forced.id}` }).waitFor(); // the page of the request learned of it by itself

  allow(/404 .*\/api\/v1\/force/);
  // refused: the words of the server, and the form is still there
  await page.goto("/builders/slow?project=ferry");
  await page.getByRole("button", { name: "Force a build" }).click();
  await dialog.getByLabel("Branch").fill("no-such-branch");
  await dialog.getByRole("button", { name: "Force slow" }).click();
  await dialog.locator(".refused").waitFor();
  assert.match(await dialog.locator(".refused").textContent(), /no-such-branch/);
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });

  // ---- pause and resume a builder, with undo
  await page.getByRole("button", { name: "Pause", exact: true }).click();
  await dialog.getByLabel("Reason").fill("new toolchain");
  await dialog.getByRole("button", { name: "Pause it" }).click();
  await page.locator(".st.chip", { hasText: "Paused" }).waitFor();
  assert.equal((await state("/builders/slow?project=ferry")).paused.reason, "new toolchain");
  await page.locator(".facts", { hasText: "new toolchain" }).waitFor();
  await page.getByRole("button", { name: "Resume" }).click();
  await until(async () => !(await state("/builders/slow?project=ferry")).paused, "the builder to go on");

  // ---- a request that never starts: cancelled from the queue, and gone from it
  const asked = (await api("/force", { body: { builder: "never", project: "ferry", branch: "master", reason: "to be cancelled" } })).requests[0];
  await page.goto("/requests");
  const row = page.locator(".rows.queue > li", { has: page.locator(`a[href="/requests/${asked}"]`) });
  await row.getByRole("button", { name: "Cancel" }).click();
  await page.locator(".toast", { hasText: `Request ${asked} is cancelled` }).waitFor();
  await until(async () => (await state(`/requests/${asked}`)).state === "done", "the request to be over");

  // ---- workers
  const worker = async () => (await api("/workers")).items.find(w => w.name === "elm-1");
  await page.goto("/workers/elm-1");
  await page.getByRole("button", { name: "Pause", exact: true }).click();
  await dialog.getByRole("button", { name: "Pause it" }).click();
  await page.locator(".st.chip", { hasText: "Paused" }).waitFor();
  assert.equal((await worker()).paused, true);
  await page.getByRole("button", { name: "Resume" }).click();
  await until(async () => !(await worker()).paused, "the worker to take work");
  await page.getByRole("button", { name: "Drain" }).click();
  await dialog.getByRole("button", { name: "Drain it" }).click();
  await page.locator(".st.chip", { hasText: "Draining" }).waitFor();
  await page.getByRole("button", { name: "Resume" }).click();
  await until(async () => !(await worker()).drained, "the worker to take work again");
  await page.goto("/workers");
  await page.getByRole("button", { name: "Add a worker" }).click();
  await dialog.getByLabel("Name").fill("elm-9");
  await dialog.getByRole("button", { name: "Make its line" }).click();
  await dialog.locator("code", { hasText: "pawl-worker join" }).waitFor();
  await dialog.getByRole("button", { name: "Done" }).click();
  await page.locator("table tbody tr", { hasText: "elm-9" }).waitFor(); // by the event
  await page.goto("/workers/elm-9");
  await page.getByRole("button", { name: "Remove" }).click();
  await dialog.getByLabel("Reason").fill("it was for the show");
  await dialog.getByRole("button", { name: "Remove elm-9" }).click();
  await page.waitForURL(/\/workers$/);

  // ---- promote, and what it says
  await page.goto("/branches/ferry/master");
  await page.getByRole("button", { name: "Try to promote" }).click();
  await page.locator(".toast", { hasText: "stable:" }).waitFor();
  await page.goto("/promotions");
  await page.getByRole("button", { name: "Look" }).first().click();
  await page.locator(".toast", { hasText: "stable:" }).waitFor();

  // ---- schedulers
  await page.goto("/schedulers");
  const push = page.locator("tbody tr", { hasText: "push" });
  await push.getByRole("button", { name: "Pause" }).click();
  await dialog.getByLabel("Reason").fill("the mirror is away");
  await dialog.getByRole("button", { name: "Pause it" }).click();
  await push.getByText("paused by admin").waitFor();
  await push.getByRole("button", { name: "Resume" }).click();
  await push.getByRole("button", { name: "Pause" }).waitFor();

  // ---- tokens
  await page.goto("/settings");
  await page.getByRole("button", { name: "Make a token" }).click();
  await dialog.getByLabel("Name: who uses it").fill("robot-1");
  await dialog.getByLabel("build", { exact: true }).check();
  await dialog.getByRole("button", { name: "Make it" }).click();
  const token = (await dialog.locator("code").textContent()).trim();
  assert.ok(token.length > 20);
  await dialog.getByRole("button", { name: "Done" }).click();
  const line = page.locator("tbody tr", { hasText: "robot-1" });
  await line.getByRole("button", { name: "Revoke" }).click();
  await dialog.getByRole("button", { name: "Revoke robot-1" }).click();
  await line.locator(".tag", { hasText: "revoked" }).waitFor();

  // ---- theme: kept over a load
  await page.getByLabel("dark", { exact: true }).check();
  const black = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.reload();
  await page.locator("h1").waitFor();
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), black);
  assert.equal(black, "rgb(16, 18, 20)");
  await page.getByLabel("as the system").check();

  // ---- keys: ? / g b j Enter
  await page.keyboard.press("?");
  await page.locator("dialog[open]", { hasText: "next and previous row" }).waitFor();
  await audit("keys", { full: false, only: ["light"] });
  await page.keyboard.press("Escape");
  await page.keyboard.press("g");
  await page.keyboard.press("b");
  await page.waitForURL(/\/branches$/);
  await page.locator(".rows.branches li a.go").first().waitFor();
  await page.keyboard.press("j");
  const first = await page.evaluate(() => document.activeElement.getAttribute("href"));
  assert.match(first, /^\/branches\//);
  await page.keyboard.press("Enter");
  await page.waitForURL(u => u.pathname === first);
  await page.locator("h1").waitFor();
  await page.keyboard.press("/");
  await dialog.getByRole("combobox").fill("elm-1");
  await dialog.locator("#hits li", { hasText: "elm-1" }).first().waitFor();
  await audit("search", { full: false, only: ["light"] });
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/workers\/elm-1$/);

  // ---- live: a push appears without a reload, rows do not move under the pointer
  await page.goto("/changes");
  await page.locator(".rows.commits li a.go").first().waitFor();
  await page.evaluate(() => { window.marked = true; });
  const list = page.locator(".rows.commits");
  await page.locator(".rows.commits li a.go").first().hover();
  const before = await list.locator("li a.go").first().textContent();
  const revision = await host("commit", { note: "live" }, "live: it comes by itself");
  await page.locator("button.news").waitFor();
  assert.equal(await list.locator("li a.go").first().textContent(), before, "held while it is looked at");
  await page.locator("button.news").click();
  await list.locator("li a.go", { hasText: "live: it comes by itself" }).waitFor();
  await host("built", "slow", revision);
  await page.mouse.move(2, 400);
  await until(async () => (await list.locator("li", { hasText: "live: it comes by itself" }).locator(".sq.success, .sq.failure").count()) >= 2, "its builds to end on the page");
  assert.equal(await page.evaluate(() => window.marked), true, "without a reload");

  // ---- log out
  await page.goto("/settings");
  await page.getByRole("button", { name: "Log out" }).click();
  await page.goto("/settings");
  await page.locator("h1", { hasText: "not logged in" }).waitFor();
}
