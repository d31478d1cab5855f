//! Loading into the step's Docker daemon, each of the CLI's ways.

use depot_standin::daemon::{Daemon, Release};
use depot_standin::engine::state_folder;
use depot_standin::fixtures::Context;
use depot_standin::released_cli::{HELPER, helper_context};
use depot_standin::{BuildState, MachinePlan, Scenario};

use crate::cli::Trial;
use crate::ground::ground;

/// How often the CLI may miss its own helper.
const TRIES: usize = 4;

#[tokio::test]
async fn an_image_is_loaded_as_a_whole_and_through_the_helper() {
    let Some(ground) = ground().await else { return };
    let daemon = Daemon::start(Release::Docker26, &state_folder())
        .await
        .unwrap();
    // The helper runs in a container, and reaches the machine there.
    let machine = MachinePlan::default()
        .fork()
        .at(daemon.gateway().await.unwrap());
    let mut trial = Trial::start(ground, Scenario::default().machines(machine)).await;
    trial.docker_host = Some(daemon.docker_host());

    // There is no helper yet, and none can be pulled: the image comes as a whole.
    let helper = helper_context(&ground.cli, &ground.busybox).unwrap();
    let ran = trial.build(&helper, &["--load", "-t", HELPER]).await;
    ran.exits(0)
        .prints("fast load failed; retrying")
        .finishes(&BuildState::Succeeded);
    assert!(daemon.image(HELPER).await.unwrap().is_some(), "{ran:#?}");

    // The helper counts as healthy by what it answers inside of its container; its port outside is not always there by then, and
    // the CLI falls back.
    let context = Context::new("FROM scratch\nCOPY Dockerfile /\n").unwrap();
    let mut loads = 1;
    loop {
        loads += 1;
        let ran = trial
            .build(&context, &["--load", "-t", "acme/fast:1"])
            .await;
        ran.exits(0).prints("pulling acme/fast:1");
        let image = daemon.image("acme/fast:1").await.unwrap();
        assert_eq!(image.unwrap().root_fs.layers.len(), 1);
        // What the machines kept for the loads was let go of.
        assert_eq!(ran.record.leases, Vec::<String>::new());
        assert_eq!(ran.record.deleted_leases.len(), loads);
        if !ran.stderr.contains("retrying") {
            break;
        }
        assert!(loads <= TRIES, "{ran:#?}");
        daemon.remove("acme/fast:1").await.unwrap();
    }
    trial.stand_in.check().unwrap();
    daemon.stop().await.unwrap();
}
