//! Loading into the step's Docker daemon, in both ways of the CLI.

use depot_ground::daemon::{Daemon, Release};
use depot_ground::engine::state_folder;
use depot_ground::fixtures::Context;
use local_depot::released_cli::{HELPER, helper_context};
use local_depot::{BuildState, MachinePlan, Scenario};

use crate::cli::Trial;
use crate::ground::ground;

#[tokio::test]
async fn an_image_is_loaded_as_a_whole_and_through_the_helper() {
    let Some(ground) = ground().await else { return };
    let daemon = Daemon::start(Release::Docker26, &state_folder())
        .await
        .unwrap();
    // The helper runs in a container, and connects to the machine from there.
    let machine = MachinePlan::default()
        .fork()
        .at(daemon.gateway().await.unwrap());
    let mut trial = Trial::start(ground, Scenario::default().machines(machine)).await;
    trial.docker_host = Some(daemon.docker_host());

    // The helper is missing and cannot be pulled, so the whole image is sent.
    let helper = helper_context(&ground.cli, &ground.busybox).unwrap();
    let ran = trial.build(&helper, &["--load", "-t", HELPER]).await;
    ran.exits(0)
        .prints("fast load failed; retrying")
        .finishes(&BuildState::Succeeded);
    assert!(daemon.image(HELPER).await.unwrap().is_some(), "{ran:#?}");

    let context = Context::new("FROM scratch\nCOPY Dockerfile /\n").unwrap();
    let ran = trial
        .build(&context, &["--load", "-t", "acme/fast:1"])
        .await;
    ran.exits(0).prints("pulling acme/fast:1");
    assert!(!ran.stderr.contains("retrying"), "{ran:#?}");
    let image = daemon.image("acme/fast:1").await.unwrap();
    assert_eq!(image.unwrap().root_fs.layers.len(), 1);
    // The leases of the loads were deleted.
    assert_eq!(ran.record.leases, Vec::<String>::new());
    assert_eq!(ran.record.deleted_leases.len(), 2);
    trial.stand_in.check().unwrap();
    daemon.stop().await.unwrap();
}
