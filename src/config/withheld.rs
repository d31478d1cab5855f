//! The files of the clone that no build context contains: those with secrets, and those that the pipe writes.

use std::path::{Path, PathBuf};

use super::PipeVariables;
use super::authorities;
use super::load::{self, DockerVariables};
use super::logins::{self, RegistryVariables};
use super::outputs::OutputsPlan;
use super::plan::ImagePlan;
use super::registries::RegistriesPlan;
use crate::bitbucket::Pipeline;

/// The files with logins and keys that variables name.
pub(super) fn secret_files(
    registry: &RegistryVariables,
    docker: &DockerVariables,
    pipe: &PipeVariables,
    working_directory: &Path,
) -> Vec<PathBuf> {
    let config = registry.docker_config.as_deref();
    let config = config.map(|value| logins::docker_config_files(value, working_directory));
    let keys = docker.docker_cert_path.as_deref();
    let keys = keys.map(|folder| load::key_files(folder, working_directory));
    let authorities = authorities::key_file(pipe.ssl_cert_file.as_deref(), working_directory);
    let files = [config, keys].into_iter().flatten().flatten();
    files.chain(authorities).collect()
}

/// The files of an image and of the outputs of the run.
pub(super) fn files_of_plan(
    image: &ImagePlan,
    outputs: &OutputsPlan,
    registries: &RegistriesPlan,
) -> Vec<PathBuf> {
    let written = outputs.files().chain(registries.aws.authorization_file());
    let sboms = outputs.sboms.as_ref();
    let sboms = sboms.map(|folder| folder.files(&image.build.built_platforms()));
    let secrets = image.build.secrets.files();
    let secrets = secrets.iter().map(|file| file.path.clone());
    let exports = image.exports.iter();
    let exports = exports.map(|export| export.place.staging.clone());
    let files = written.map(Path::to_owned).chain(secrets).chain(exports);
    files.chain(sboms.into_iter().flatten()).collect()
}

/// The directories that pipes share. One that contains the clone, as outside of Bitbucket, cannot be withheld.
pub(super) fn pipes_storage(pipeline: &Pipeline, clone: &Path) -> Vec<PathBuf> {
    let folders = pipeline.storage();
    let folders = folders.filter(|folder| !clone.starts_with(folder));
    folders.map(Path::to_owned).collect()
}
