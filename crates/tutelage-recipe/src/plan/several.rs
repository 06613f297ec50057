//! Several teachers of a run, and which documents each teaches.

use std::collections::BTreeSet;

use super::resolve::Found;
use super::teachers::one;
use super::{MemberPlan, Stage, TeacherSource};
use crate::RecipeError;
use crate::spec::{MemberSpec, RunSpec};

/// Stands for the routes that no member names, and for all documents where they have no routes.
pub(crate) const OTHERS: &str = "*";

pub(super) fn several(
    found: Found<'_>,
    run: &RunSpec,
    specs: &[MemberSpec],
    stages: &[Stage],
) -> Result<TeacherSource, RecipeError> {
    let fault = |found: String| Err(RecipeError::request(format!("run '{}': teacher.members: {found}", run.name)));
    let mut members = Vec::new();
    for spec in specs {
        if [&spec.run, &spec.model, &spec.cache].into_iter().flatten().count() != 1 {
            return fault("each needs one of run, model and cache".to_owned());
        }
        if !(spec.weight > 0.0 && spec.weight <= 1e3) {
            return fault(format!("weight = {}: must be above 0", spec.weight));
        }
        let source = one(found, run, (&spec.run, &spec.model, &spec.cache), stages)?;
        members.push(MemberPlan { source, routes: spec.routes.clone(), weight: spec.weight });
    }
    let live: Vec<bool> = members.iter().map(|member| !member.source.live().is_empty()).collect();
    if live.iter().any(|is_live| *is_live != live[0]) {
        return fault("some are live and some are caches; make them all one or the other".to_owned());
    }
    if members.iter().any(|member| member.source.targets() != members[0].source.targets()) {
        return fault("some caches draw samples, others keep the most likely entries".to_owned());
    }
    let named: BTreeSet<&String> = specs.iter().flat_map(|spec| &spec.routes).collect();
    if !named.is_empty() && found.spec.data.route_field.is_none() {
        return fault("routes are values of a field of the documents; set data.route_field".to_owned());
    }
    if let Err(wrong) = named.iter().filter(|route| **route != OTHERS).try_for_each(|r| found.corpus.check_route(r)) {
        return fault(wrong);
    }
    for route in routes(found) {
        let taught = taught_by(&members, route);
        if taught.is_empty() {
            let found =
                format!("documents of the route '{route}' have no teacher; name it, or give one member routes = ['*']");
            return fault(found);
        }
        if taught.len() > 1 && !live[0] {
            return fault(format!("several caches teach the route '{route}', and only live teachers are averaged"));
        }
    }
    Ok(TeacherSource::Several(members))
}

/// Routes of the documents; where they have none, what stands for all.
fn routes(found: Found<'_>) -> impl Iterator<Item = &str> {
    let known = &found.corpus.routes;
    known.iter().map(String::as_str).chain(known.is_empty().then_some(OTHERS))
}

/// Whether some documents have several live members.
pub(super) fn share_documents(found: Found<'_>, members: &[MemberPlan]) -> bool {
    routes(found).any(|route| taught_by(members, route).len() > 1)
}

/// Numbers of the members that teach the documents of a route.
pub(crate) fn taught_by(members: &[MemberPlan], route: &str) -> Vec<usize> {
    let names = |member: &MemberPlan| member.routes.iter().any(|name| name == route);
    let is_named = members.iter().any(names);
    let teaches = |member: &MemberPlan| {
        let others = member.routes.iter().any(|name| name == OTHERS);
        member.routes.is_empty() || names(member) || (others && !is_named)
    };
    (0..members.len()).filter(|&i| teaches(&members[i])).collect()
}
