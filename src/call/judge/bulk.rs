//! What the answer to a bulk call means.
//!
//! The service does all of a bulk call or nothing: one bad id refuses it. Which one, the answer's free text may say for
//! all, for some or for none; nothing hangs on how it says it, only ids of the call are looked for. So every refusal of
//! a bulk call, whatever its status, is the group's and no machine's. What surprises: an accepted answer may list no
//! machine at all; that is an acceptance, which a read has to settle.

use std::collections::{HashMap, HashSet};

use super::belief::BUSY_BELIEVED_AFTER;
use super::facts::{PROXY_PAGE, asks_for_patience, facts, head_facts, is_disallowed};
use super::shown::{Shown, shows};
use super::verdict::{Excess, History, MachineVerdict, RetryReason, SplitReason, Verdict, retry};
use crate::api::{ApiRequest, Response};
use crate::model::{AnswerFacts, MachineId};

/// The service's code for a call with too many machines.
const TOO_MANY_CODE: &str = "MaximumBatchSizeExceeded";

/// Judges how a bulk call is refused; `None` leaves the answer to the rules of every call.
pub(super) fn judge_refused(
    machines: &[MachineId],
    response: &Response,
    history: History,
    facts: &AnswerFacts,
) -> Option<Verdict> {
    let split = |why| Some(Verdict::Split { why, facts: facts.clone() });
    let is_busy_for_good = matches!(response.status, 421 | 423 | 425) && history.busy + 1 >= BUSY_BELIEVED_AFTER;
    match response.status {
        413 => split(SplitReason::TooMany { allowed: allowed_number(response) }),
        // Not the service's word, or nobody's machine; and what says to ask again is asked again, some of it not for ever.
        400..=499 | 501 if response.looks_like_html() => None,
        401 | 407 | 429 => None,
        status if asks_for_patience(status) && !is_busy_for_good => None,
        403 if is_disallowed(response) => split(SplitReason::Disallowed { named: named(machines, &response.body) }),
        403 | 405 | 501 => split(SplitReason::Forbidden),
        400 if response.service_error().is_some_and(|error| error.code.exact() == TOO_MANY_CODE) => {
            split(SplitReason::TooMany { allowed: allowed_number(response) })
        }
        400..=499 => {
            let named = named(machines, &response.body);
            // A single 404 is not believed where it names nobody.
            if response.status == 404 && history.not_found == 0 && !named.contains(&true) {
                return Some(retry(RetryReason::NotFound, facts.clone()));
            }
            split(SplitReason::BadMachines { named })
        }
        _ => None,
    }
}

/// Judges the answer to a bulk call that was accepted.
pub(super) fn judge_accepted(request: &ApiRequest, machines: &[MachineId], response: &Response) -> Verdict {
    let listed = match response.machines() {
        Ok(listed) => listed,
        Err(unreadable) => {
            let mut facts = facts(response);
            let html = response.looks_like_html();
            facts.error_message = Some(if html { PROXY_PAGE.into() } else { unreadable.to_string().into() });
            let why = Excess::of(unreadable).filter(|_| !html).map_or(RetryReason::NotUnderstood, RetryReason::TooMuch);
            return retry(why, facts);
        }
    };
    let mut facts = head_facts(response);
    let mut shown: HashMap<MachineId, Shown> = HashMap::new();
    for machine in &listed {
        let now = shows(request, machine);
        // Of two that contradict each other the worse is believed.
        shown
            .entry(MachineId::from_service(&machine.id))
            .and_modify(|before| *before = now.max(*before))
            .or_insert(now);
    }
    if !listed.is_empty() && !machines.iter().any(|machine| shown.contains_key(machine)) {
        facts.error_message = Some("the answer is about other machines".into());
        return retry(RetryReason::OtherMachine, facts);
    }
    let judged = machines.iter().map(|machine| match shown.get(machine) {
        None if listed.is_empty() => MachineVerdict::Accepted,
        None => MachineVerdict::Omitted,
        Some(Shown::AsAsked { case_differs }) => MachineVerdict::Done { case_differs: *case_differs },
        Some(Shown::OtherCase) => MachineVerdict::OtherCase,
        Some(Shown::Nothing) => MachineVerdict::Accepted,
        Some(Shown::Otherwise) => MachineVerdict::NotApplied,
    });
    Verdict::Answered { facts, machines: judged.collect() }
}

/// For each machine whether its id stands in the text, in any case, and is not part of a longer word.
fn named(machines: &[MachineId], body: &[u8]) -> Vec<bool> {
    let text = String::from_utf8_lossy(body);
    // The text may be long, and the call is not: what is kept of it are ids of the call.
    let called: HashSet<&MachineId> = machines.iter().collect();
    let words: HashSet<MachineId> = text
        .split(|character: char| !(character.is_alphanumeric() || "-_.".contains(character)))
        .flat_map(|word| [word, word.trim_matches(['.', '-', '_'])])
        .map(MachineId::from_service)
        .filter(|word| called.contains(word))
        .collect();
    machines.iter().map(|machine| words.contains(machine)).collect()
}

/// The number in "allowed: 100", as the refusal of a call that is too large writes it.
fn allowed_number(response: &Response) -> Option<usize> {
    let text = String::from_utf8_lossy(&response.body).to_lowercase();
    let (_, after) = text.rsplit_once("allowed")?;
    let digits: String =
        after.chars().skip_while(|character| !character.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|allowed| *allowed > 0)
}
