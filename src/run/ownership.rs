//! What rules of other names own in the tenant: no other rules may give it, or take it off.

use super::tenant::Tenant;
use crate::api::Transport;
use crate::exit::{CommandError, ExitStatus};
use crate::outside::shown;
use crate::rules::{Declaration, Fault, Owned};
use crate::store::{DeclarationInForce, Declared, StoredRun};

/// What a file owns and another one, too.
pub(super) fn overlaps(declaration: &Declaration, in_force: &[DeclarationInForce]) -> Vec<Fault> {
    let others = in_force.iter().filter(|other| other.declared.name != declaration.name);
    let faults = others.filter_map(|other| {
        let theirs = owned(&other.declared);
        let (own, their) = declaration.own.first_overlap(&theirs)?;
        Some(Fault {
            line: own.line,
            message: format!("{} overlaps with {their}, {}", own.value, whose(other)),
            hint: Some(format!("own something else, or {}", give_back(other))),
        })
    });
    faults.collect()
}

/// Refuses to resume rules of which another file owns something now.
pub(super) async fn refuse_owned_by_others<T: Transport>(
    tenant: &Tenant<T>,
    run: &StoredRun,
) -> Result<(), CommandError> {
    let Some(declared) = tenant.store.declared(run.key).await? else { return Ok(()) };
    let in_force = tenant.store.declarations(tenant.account, &tenant.host).await?;
    for other in in_force.iter().filter(|other| other.declared.name != declared.name) {
        let theirs = owned(&other.declared);
        let overlapping = |own: &Owned| theirs.iter().find(|their| own.overlaps(their)).cloned();
        let found = owned(&declared).into_iter().find_map(|own| Some((overlapping(&own)?, own)));
        let Some((their, own)) = found else { continue };
        let (id, name) = (&run.description.run_id, shown(&declared.name));
        let message = format!(
            "run {id} carries out the rules \"{name}\", of which {own} overlaps with {their}, {}; nothing was sent",
            whose(other)
        );
        return Err(CommandError::text(ExitStatus::InputRefused, message, Some(&give_back(other))));
    }
    Ok(())
}

fn owned(declared: &Declared) -> Vec<Owned> {
    let prefixes = declared.prefixes.iter().cloned().map(Owned::Prefix);
    prefixes.chain(declared.tags.iter().cloned().map(Owned::Tag)).collect()
}

fn whose(other: &DeclarationInForce) -> String {
    let (name, path) = (shown(&other.declared.name), shown(&other.path));
    format!("which the rules \"{name}\" of {path} own since {}", other.since.strftime("%Y-%m-%d"))
}

fn give_back(other: &DeclarationInForce) -> String {
    format!("give theirs back: tagfleet rules --release \"{}\"", shown(&other.declared.name))
}
