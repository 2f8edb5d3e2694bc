// Every page but the build's: what it answers first, and nothing for axe to find, in light, dark and on a phone.
export default async function ({ page, assert, login, audit, until, host, api, facts }) {
  const request = await until(async () => {
    const waiting = (await api("/requests?state=waiting&why=1")).items.find(r => r.builder === "never");
    if (waiting) return waiting.id;
    return (await api("/force", { body: { builder: "never", project: "ferry", branch: "master", reason: "to be seen waiting" } })).requests[0];
  }, "a request that waits");
  const LONG = "feature/" + "a-name-that-says-all-".repeat(5) + "end";
  const there = (await api("/branches?limit=200")).items.some(b => b.branch === LONG);
  if (!there) {
    const revision = await host("commit", { note: "1" }, "a title that goes on and on, since whoever wrote it had much to say and said it all in the first line", LONG);
    await host("built", "fast", revision);
  }
  const see = async (path, text, name, wait) => {
    await page.goto(path);
    await page.locator("h1", { hasText: text }).waitFor();
    if (wait) await page.locator(wait).first().waitFor();
    assert.equal(await page.locator("h1").count(), 1, `${path}: one h1`);
    if (name) await audit(name);
  };

  // without a session: all can be read, buttons say what is missing
  await see("/", /branch(es)? (is|are) red/, "home-open", ".rows.branches li a.go");
  assert.match(await page.title(), /red/);
  assert.match(await page.locator('link[rel="icon"]').getAttribute("href"), /c0271f/, "a red octagon");
  await see("/branches/ferry/master", "master", null, ".rows.commits li a.go");
  const force = page.getByRole("button", { name: "Force a build" });
  assert.equal(await force.isDisabled(), true);
  assert.equal(await force.getAttribute("title"), "needs the right build");
  await see("/settings", "not logged in", "settings-open");
  await see("/audit", "Who did what", null);
  await page.getByText("right admin").waitFor();

  await login();
  await see("/", /red/, "home", ".rows.branches li a.go");
  await page.locator("article.break a.quote").first().click();
  await page.waitForURL(/\/builds\/\d+/);
  await page.goBack();
  await page.locator("h1", { hasText: /red/ }).waitFor();

  await see("/branches", /red/, "branches", ".rows.branches li a.go");
  await page.getByPlaceholder("Part of a name").fill("says-all");
  await page.waitForURL(/q=says-all/);
  await page.locator(".rows.branches li a.go", { hasText: "says-all" }).waitFor();
  await until(async () => (await page.locator(".rows.branches li a.go").count()) === 1, "one branch");

  await see("/branches/ferry/master", "master", "branch", ".line svg circle");
  await page.locator(".rows.commits li.mark", { hasText: "stable" }).waitFor();
  await page.locator(".st.chip.failure", { hasText: "Red in fast" }).waitFor();
  await see("/branches/ferry/" + LONG, "a-name-that-says-all", "branch-long", ".rows.commits li a.go");
  await see("/branches/ferry/no-such", "no-such", "branch-none", ".empty");
  await see("/changes", /red/, "changes", ".rows.commits li a.go");
  await see("/builders", /red/, "builders", ".rows.builders li a.go");
  await see("/builders/fast?project=ferry", "fast", null, "svg.strip a");
  await page.locator(".uplot canvas").first().waitFor();
  await page.getByText("As a table").first().click();
  await page.locator(".plots table tbody tr").first().waitFor();
  await audit("builder");
  await see("/builders/never?project=ferry", "never", "builder-never", ".rows.queue li");
  await see("/builds", "All builds", "builds", ".rows.builds li a.go");
  await page.locator("select").first().selectOption("failure");
  await page.waitForURL(/result=failure/);
  await until(async () => (await page.locator(".rows.builds .st.success").count()) === 0, "only the red ones");
  await see("/requests", "needs you", "queue", ".rows.queue li a.go");
  await page.locator(".rows.queue li", { hasText: 'no worker has the tags "nowhere"' }).first().waitFor();
  await see(`/requests/${request}`, "never waits", "request", ".note");
  await see("/workers", /take/, "workers", "table tbody tr");
  await see("/workers/elm-1", "elm-1", "worker", ".rows.builds li a.go");
  await see("/workers/none", "none", "worker-none", ".empty");
  await see("/promotions", "diverged", "promotions", ".rows.edges li");
  await see("/schedulers", "scheduler", "schedulers", "table tbody tr");
  await see("/notices", /message/i, "notices", ".empty");
  await see("/audit", "Who did what", "audit", "table tbody tr");
  await see("/settings", "You are admin", "settings", "table tbody tr");
  for (const p of ["landings", "breaks", "tests"]) await see(`/${p}`, "No ", p, ".empty");

  // an address that is nobody's, from within
  await page.goto(`/builds/${facts.red}`);
  await page.locator("h1").first().waitFor();
}
