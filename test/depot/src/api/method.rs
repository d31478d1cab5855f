//! The methods of Depot's API that the local Depot supports.

use std::fmt;

macro_rules! methods {
    ($($method:ident $service:literal $doc:literal;)*) => {
        /// A method of Depot's API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Method {
            $(#[doc = $doc] $method,)*
        }

        impl Method {
            /// Every supported method.
            pub const ALL: &'static [Self] = &[$(Self::$method,)*];

            /// The path of its URL.
            #[must_use]
            pub fn path(self) -> &'static str {
                match self { $(Self::$method => concat!("/", $service, "/", stringify!($method)),)* }
            }
        }
    };
}

methods! {
    CreateBuild "depot.cli.v1.BuildService" "Creates a build.";
    GetBuild "depot.cli.v1.BuildService" "Describes an existing build.";
    FinishBuild "depot.cli.v1.BuildService" "Finishes a build.";
    GetBuildKitConnection "depot.cli.v1.BuildService" "Requests a machine.";
    ReportBuildHealth "depot.cli.v1.BuildService" "Reports that a machine is still in use.";
    ReportTimings "depot.cli.v1.BuildService" "Reports the durations of steps.";
    ReportStatusStream "depot.cli.v1.BuildService" "Reports steps as they happen; a stream.";
    ReportBuildContext "depot.cli.v1.BuildService" "Reports the Dockerfiles.";
    GetPullInfo "depot.cli.v1.BuildService" "Returns where a saved image can be pulled.";
    GetPullToken "depot.cli.v1.BuildService" "Returns a token to pull saved images.";
    StartPush "depot.cli.v1.PushService" "Starts a push of a saved build.";
    FinishPush "depot.cli.v1.PushService" "Finishes a push of a saved build.";
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
    fn every_method_is_found_by_its_path() {
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
