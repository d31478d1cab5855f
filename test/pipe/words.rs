//! Failures of builds that come with a hint.

use depot_standin::Scenario;
use depot_standin::fixtures::Context;

use super::place::{small_context, with_place};
use super::program::Program;

#[test]
fn a_frontend_without_named_contexts_is_refused() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        // To a builder, any image without the label for named contexts is an old frontend.
        let image = place.image("old-frontend");
        let built = small_context();
        let run = Program::of(&depot, built.path())
            .push(&image, &place.registry)
            .run()
            .await;
        run.expect(0, &[]);

        let dockerfile = format!("# syntax={image}\nFROM scratch\nCOPY --from=other / /\n");
        let context = Context::new(&dockerfile).unwrap();
        context.file("other/file", "x").unwrap();
        let run = Program::of(&depot, context.path())
            .push(&place.image("of-old-frontend"), &place.registry)
            .set("BUILD_CONTEXTS", "other=other")
            .run()
            .await;
        run.expect(
            1,
            &[
                "unsupported frontend capability moby.buildkit.frontend.contexts",
                "hint: the frontend in the `# syntax=` line of the Dockerfile is too old for BUILD_CONTEXTS",
            ],
        );
    });
}
