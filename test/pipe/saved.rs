//! Images saved in Depot's registry.

use super::on_internet::{assert_only_user, registry, saving_at, silent};
use super::place::{small_context, with_place};
use super::program::Program;

#[test]
fn an_image_is_saved_at_depot_and_pushed_to_the_users_registry() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let depots = registry(internet, "registry.depot.dev").await;
        let own = registry(internet, "own-registry.example.com").await;
        for (push, platforms) in [
            ("true", "linux/amd64,linux/arm64"),
            ("false", "linux/amd64"),
        ] {
            let scenario = saving_at("registry.depot.dev", &depots);
            let depot = place.depot_of_two(scenario).await;
            let context = small_context();
            let run = Program::of(&depot, context.path())
                .on(internet)
                .set("IMAGE", "own-registry.example.com/app:1")
                .set("PUSH", push)
                .set("PLATFORMS", platforms)
                .set("SAVE", "true")
                .set("SAVE_TAGS", "nightly, {branch}, {tag}")
                .set("BITBUCKET_BRANCH", "feature/x")
                .set("REGISTRY", "own-registry.example.com")
                .set("REGISTRY_USERNAME", own.username())
                .set("REGISTRY_PASSWORD", own.password())
                .run()
                .await;
            let record = depot.record();
            let build = record.last_build().unwrap();
            let (project, tag) = (depot.project_id(), build.id.as_str());
            let reference = format!("registry.depot.dev/{project}:{tag}");
            let done = if push == "true" {
                "built, pushed and saved"
            } else {
                "built and saved"
            };
            run.expect(
                0,
                &[
                    done,
                    "INFO: tags in Depot's registry: nightly, feature-x\n",
                    &format!("docker pull {reference}"),
                    "docker login registry.depot.dev --username x-token --password-stdin",
                ],
            );
            silent(&run, &[&depots, &own]);
            let saved = depots.manifest(project, tag).await.unwrap();
            assert!(
                run.log.contains(&format!("{reference}@{}", saved.digest)),
                "{}",
                run.log
            );
            let [options] = &build.options[..] else {
                panic!("{build:#?}");
            };
            assert!(options.save);
            assert_eq!(options.save_tags, ["nightly", "feature-x"]);
        }
        assert_eq!(own.tags("app").await.unwrap(), ["1"]);
        assert_only_user(internet, "registry.depot.dev", depots.username());
    });
}
