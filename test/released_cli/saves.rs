//! Images saved at Depot. The response to `CreateBuild` has their registry and its login.

use depot_ground::engine::state_folder;
use depot_ground::fixtures::Context;
use depot_ground::registry::Registry;
use local_depot::{BuildState, CreateBuildAnswer, HostCredential, Scenario};

use crate::cli::{Ran, Trial};
use crate::ground::ground;

/// Saves an image with one file to a registry whose login is in no configuration of the CLI, which must use Depot's.
async fn save(trial: &Trial) -> Ran {
    let context = Context::new("FROM scratch\nCOPY Dockerfile /\n").unwrap();
    trial
        .build(&context, &["--save", "--save-tag", "nightly"])
        .await
}

/// A `CreateBuild` whose response has the registry `kept` for saved images, with this password.
pub(crate) fn keeping_at(kept: &Registry, password: &str) -> Scenario {
    Scenario::default().answer(CreateBuildAnswer {
        additional_tags: vec![format!("{}/kept:{{build_id}}", kept.host())],
        additional_credentials: vec![HostCredential {
            host: kept.host(),
            username: kept.username().to_owned(),
            password: password.to_owned(),
        }],
        ..CreateBuildAnswer::default()
    })
}

#[tokio::test]
async fn an_image_that_is_only_saved_is_pushed_to_the_registry_in_depots_response() {
    let Some(ground) = ground().await else { return };
    let kept = Registry::start(&state_folder()).await.unwrap();
    let trial = Trial::start(ground, keeping_at(&kept, kept.password())).await;

    let ran = save(&trial).await;

    ran.exits(0).finishes(&BuildState::Succeeded);
    trial.stand_in.check().unwrap();
    let options = ran.build().options.first().unwrap();
    assert_eq!(
        (options.save, options.push, &options.save_tags[..]),
        (true, false, &["nightly".to_owned()][..])
    );
    assert_eq!(kept.tags("kept").await.unwrap(), [ran.build().id.clone()]);
    kept.stop().await.unwrap();
}

#[tokio::test]
async fn a_save_with_an_invalid_login_fails_the_build() {
    let Some(ground) = ground().await else { return };
    let kept = Registry::start(&state_folder()).await.unwrap();
    let trial = Trial::start(ground, keeping_at(&kept, "another")).await;

    let ran = save(&trial).await;

    ran.exits(1).prints("401 Unauthorized");
    assert!(
        matches!(ran.build().state, BuildState::Failed(_)),
        "{ran:#?}"
    );
    trial.stand_in.check().unwrap();
    assert_eq!(kept.tags("kept").await.unwrap(), Vec::<String>::new());
    kept.stop().await.unwrap();
}
