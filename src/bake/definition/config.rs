//! All groups and targets of the files, before targets are selected.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::budget::Budget;
use crate::target::{Group, Target};
use crate::{Definition, Error, Part, Request};

use super::block::Output;
use super::overrides::{self, Overrides};

/// The groups and targets of all files. Names can occur twice; then the first one is meant.
#[derive(Default)]
pub(crate) struct Config {
    pub(crate) groups: Vec<Group>,
    pub(crate) targets: Vec<Target>,
}

impl Config {
    /// Merges targets of one name into the first of them, and removes duplicates from groups.
    pub(crate) fn merge_duplicates(&mut self) {
        for group in &mut self.groups {
            if let Some(targets) = &mut group.targets {
                deduplicate(targets);
            }
        }
        let mut merged: Vec<Target> = Vec::with_capacity(self.targets.len());
        let mut places = BTreeMap::new();
        for target in self.targets.drain(..) {
            let place = *places.entry(target.name.clone()).or_insert(merged.len());
            match merged.get_mut(place) {
                Some(first) => first.merge(&target),
                None => merged.push(target),
            }
        }
        self.targets = merged;
    }

    /// Adds a group or a target of an HCL or JSON file. A group replaces one of its name; a target merges into it.
    pub(crate) fn add(&mut self, output: Output) {
        match output {
            Output::Group(group) => match self
                .groups
                .iter_mut()
                .find(|other| other.name == group.name)
            {
                Some(other) => *other = group,
                None => self.groups.push(group),
            },
            Output::Target(target) => match self
                .targets
                .iter_mut()
                .find(|other| other.name == target.name)
            {
                Some(other) => other.merge(&target),
                None => self.targets.push(*target),
            },
        }
    }

    pub(crate) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    pub(crate) fn target(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.name == name)
    }

    /// Selects the requested targets and those that they link to.
    pub(crate) fn select(
        &self,
        request: &Request<'_>,
        warnings: Vec<Error>,
        budget: &Budget,
    ) -> Result<Definition, Error> {
        // Names of compose services have dots; targets have underscores for them.
        let mut requested: Vec<String> = request
            .targets
            .iter()
            .map(|name| name.replace('.', "_"))
            .collect();
        if requested.is_empty() {
            requested.push("default".into());
        }
        let overrides = overrides::parse(self, request)?;
        let mut definition = Definition {
            groups: BTreeMap::new(),
            targets: BTreeMap::new(),
            warnings,
        };
        for name in &requested {
            let members = self.members(name, &mut BTreeMap::new(), budget)?;
            for target in members.targets {
                if let Entry::Vacant(place) = definition.targets.entry(target) {
                    if self.target(place.key()).is_none() && place.key() == name {
                        return Err(Error::of(Part::Targets, self.missing(name).message()));
                    }
                    let resolved = self.resolve(place.key(), &overrides, budget)?;
                    place.insert(resolved);
                }
            }
            for group in members.groups {
                if let Some(group) = self.group(&group) {
                    definition.groups.insert(group.name.clone(), group.clone());
                }
            }
        }
        add_default_group(&mut definition, requested);
        let names: Vec<String> = definition.targets.keys().cloned().collect();
        for name in names {
            let mut links = Links {
                config: self,
                overrides: &overrides,
                budget,
                done: BTreeSet::new(),
            };
            links.load(&name, &mut definition.targets, &mut Vec::new())?;
        }
        if let Some(epoch) =
            (request.variable)("SOURCE_DATE_EPOCH").filter(|epoch| !epoch.is_empty())
        {
            for target in definition.targets.values_mut() {
                let args = target.args.get_or_insert_default();
                args.entry("SOURCE_DATE_EPOCH".into())
                    .or_insert_with(|| Some(epoch.clone()));
            }
        }
        Ok(definition)
    }

    /// The targets and groups below a name, each once. A group that contains itself or nothing is taken for a target there.
    fn members(
        &self,
        name: &str,
        visited: &mut BTreeMap<String, Members>,
        budget: &Budget,
    ) -> Result<Members, Error> {
        budget.step()?;
        if let Some(members) = visited.get(name) {
            budget.steps(members.targets.len() as u64)?;
            return Ok(members.clone());
        }
        let Some(group) = self.group(name) else {
            return Ok(Members {
                targets: vec![name.to_owned()],
                groups: Vec::new(),
            });
        };
        visited.insert(name.to_owned(), Members::default());
        let mut members = Members {
            targets: Vec::new(),
            groups: vec![name.to_owned()],
        };
        for target in group.targets.iter().flatten() {
            let inner = budget.deeper(|| self.members(target, visited, budget))?;
            if inner.targets.is_empty() {
                members.targets.push(target.clone());
            }
            members.targets.extend(inner.targets);
            members.groups.extend(inner.groups);
        }
        deduplicate(&mut members.targets);
        deduplicate(&mut members.groups);
        visited.insert(name.to_owned(), members.clone());
        Ok(members)
    }

    /// A target with all that it inherits, overrides and defaults.
    fn resolve(&self, name: &str, overrides: &Overrides, budget: &Budget) -> Result<Target, Error> {
        let mut resolved = BTreeMap::new();
        let mut target = Target::clone(&*self.inherit(name, &mut resolved, overrides, budget)?);
        target.inherits = None;
        target.context.get_or_insert_with(|| ".".into());
        target.dockerfile.get_or_insert_with(|| "Dockerfile".into());
        Ok(target)
    }

    /// A target with all that it inherits. Targets are large, so the recursion keeps none on the stack.
    fn inherit(
        &self,
        name: &str,
        resolved: &mut BTreeMap<String, Option<Rc<Target>>>,
        overrides: &Overrides,
        budget: &Budget,
    ) -> Result<Rc<Target>, Error> {
        budget.step()?;
        match resolved.get(name) {
            Some(Some(target)) => return Ok(Rc::clone(target)),
            Some(None) => {
                return Err(Error::new(format!(
                    "target `{name}` inherits from itself; remove it from `inherits` of it or of its parents"
                )));
            }
            None => {}
        }
        let Some(own) = self.target(name) else {
            return Err(self.missing(name));
        };
        resolved.insert(name.to_owned(), None);
        let mut parents = Vec::new();
        for parent in own.inherits.iter().flatten() {
            parents.push(budget.deeper(|| self.inherit(parent, resolved, overrides, budget))?);
        }
        let target = merged(own, &parents, overrides)?;
        resolved.insert(name.to_owned(), Some(Rc::clone(&target)));
        Ok(target)
    }

    fn missing(&self, name: &str) -> Error {
        if self.group(name).is_some() {
            return Error::new(format!(
                "the group `{name}` is a member of a group, but it is empty or contains itself"
            ));
        }
        let names: Vec<&str> = self
            .targets
            .iter()
            .map(|target| target.name.as_str())
            .collect();
        let groups = self.groups.iter().map(|group| group.name.as_str());
        let known: Vec<&str> = names.iter().copied().chain(groups).collect();
        let message = if known.is_empty() {
            format!("no target `{name}`: the definition has no targets")
        } else if known.len() > MAX_LISTED_NAMES {
            format!("no target `{name}`")
        } else {
            format!(
                "no target `{name}`; the definition has `{}`",
                known.join("`, `")
            )
        };
        Error::new(message)
    }
}

/// A target with its parents and its overrides.
fn merged(
    own: &Target,
    parents: &[Rc<Target>],
    overrides: &Overrides,
) -> Result<Rc<Target>, Error> {
    let mut target = Target::default();
    for parent in parents {
        target.merge(parent);
    }
    target.merge(own);
    target.name.clone_from(&own.name);
    for (key, value) in overrides.of(&own.name) {
        value.apply(key, &mut target)?;
    }
    target.normalize();
    Ok(Rc::new(target))
}

/// The most names that an error lists.
const MAX_LISTED_NAMES: usize = 20;

/// All below a group.
#[derive(Clone, Default)]
struct Members {
    targets: Vec<String>,
    groups: Vec<String>,
}

/// Adds the requested names to the group `default`, except that name itself if it is a group.
fn add_default_group(definition: &mut Definition, requested: Vec<String>) {
    for name in requested {
        if name == "default" && definition.groups.contains_key("default") {
            continue;
        }
        let group = definition
            .groups
            .entry("default".into())
            .or_insert_with(|| Group {
                name: "default".into(),
                ..Group::default()
            });
        group.targets.get_or_insert_default().push(name);
    }
    if let Some(targets) = definition
        .groups
        .get_mut("default")
        .and_then(|group| group.targets.as_mut())
    {
        deduplicate(targets);
        targets.sort();
    }
}

/// The links of contexts to other targets.
struct Links<'a> {
    config: &'a Config,
    overrides: &'a Overrides,
    budget: &'a Budget,
    done: BTreeSet<String>,
}

impl Links<'_> {
    /// Adds the targets that `name` links to.
    fn load(
        &mut self,
        name: &str,
        targets: &mut BTreeMap<String, Target>,
        path: &mut Vec<String>,
    ) -> Result<(), Error> {
        self.budget.step()?;
        let Some(target) = targets.get(name) else {
            return Ok(());
        };
        let platforms = target.platforms.clone().unwrap_or_default();
        let contexts = target.contexts.iter().flatten();
        let links: Vec<String> = contexts
            .filter_map(|(_, value)| value.strip_prefix("target:").map(str::to_owned))
            .collect();
        path.push(name.to_owned());
        for link in links {
            if link == name {
                return Err(Error::new(format!("target `{link}` links to itself")));
            }
            if path.contains(&link) {
                return Err(Error::new(format!(
                    "targets link to each other in a cycle: {} → {link}",
                    path.join(" → ")
                )));
            }
            if !targets.contains_key(&link) {
                let mut linked = self.config.resolve(&link, self.overrides, self.budget)?;
                linked.outputs = None;
                linked.linked = true;
                targets.insert(link.clone(), linked);
            }
            if !self.done.contains(&link) {
                let budget = self.budget;
                budget.deeper(|| self.load(&link, targets, path))?;
            }
            let linked = targets
                .get(&link)
                .and_then(|linked| linked.platforms.clone());
            let linked = linked.unwrap_or_default();
            if platforms.len() > 1
                && linked.len() > 1
                && !platforms.iter().all(|platform| linked.contains(platform))
            {
                return Err(Error::new(format!(
                    "target `{name}` links to `{link}`, which lacks some of its platforms: {} is not in {}",
                    platforms.join(", "),
                    linked.join(", ")
                )));
            }
        }
        path.pop();
        self.done.insert(name.to_owned());
        Ok(())
    }
}

/// Removes all but the first of equal names.
pub(crate) fn deduplicate(names: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
}

#[cfg(test)]
mod tests;
