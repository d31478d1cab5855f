//! The methods of Depot's API that the stand-in knows.

use std::fmt;

macro_rules! methods {
    ($($method:ident $service:literal $doc:literal;)*) => {
        /// A method of Depot's API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Method {
            $(#[doc = $doc] $method,)*
        }

        impl Method {
            /// Every method that the stand-in knows.
            pub const ALL: &'static [Self] = &[$(Self::$method,)*];

            /// Where it is called.
            #[must_use]
            pub fn path(self) -> &'static str {
                match self { $(Self::$method => concat!("/", $service, "/", stringify!($method)),)* }
            }
        }
    };
}

methods! {
    CreateBuild "depot.cli.v1.BuildService" "Begins a build.";
    GetBuild "depot.cli.v1.BuildService" "Tells of a build that someone else began.";
    FinishBuild "depot.cli.v1.BuildService" "Ends a build.";
    GetBuildKitConnection "depot.cli.v1.BuildService" "Asks for a machine.";
    ReportBuildHealth "depot.cli.v1.BuildService" "Says that a machine is still used.";
    ReportTimings "depot.cli.v1.BuildService" "Reports how long steps took.";
    ReportStatusStream "depot.cli.v1.BuildService" "Reports steps as they happen; a stream.";
    ReportBuildContext "depot.cli.v1.BuildService" "Reports the Dockerfiles.";
    GetPullInfo "depot.cli.v1.BuildService" "Asks where a saved image can be pulled.";
    GetPullToken "depot.cli.v1.BuildService" "Asks for a token to pull saved images with.";
    ListProjects "depot.cli.v1beta1.ProjectsService" "Lists the projects that a token may see.";
}

impl Method {
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|method| method.path() == path)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_back_to_their_methods() {
        assert_eq!(
            Method::CreateBuild.path(),
            "/depot.cli.v1.BuildService/CreateBuild"
        );
        for method in Method::ALL {
            assert_eq!(Method::of_path(method.path()), Some(*method));
        }
        assert_eq!(Method::of_path("/depot.cli.v1.BuildService/"), None);
    }
}
