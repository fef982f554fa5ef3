//! A service that keeps no quota and makes no mistake, and the books of what it was asked: all that it ever refuses is dead
//! machines.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;

use crate::api::sign_in::SignInError;
use crate::api::{Answer, ApiRequest, TokenGeneration, Transport};
use crate::model::{MachineId, TagAction};
use crate::sandbox::in_memory::{InMemory, is_success, machines_of, tag_of};
use crate::sandbox::{BulkRefusalStatus, DeadNaming, SandboxMachine, SandboxSettings};

/// What the refusal of a bulk call can name.
pub(super) const EVERY_NAMING: [DeadNaming; 3] = [DeadNaming::All, DeadNaming::One, DeadNaming::Absent];

/// The service.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) tenant: InMemory,
    /// Tags that machines are to get; before a machine has all of them, none may be taken off.
    to_be_added: BTreeMap<MachineId, BTreeSet<String>>,
    /// How long an answer takes; what is done is done at the end of it.
    latency: RangeInclusive<Duration>,
    random: Mutex<fastrand::Rng>,
    pub(super) books: Mutex<Books>,
}

/// What the service was asked, and what was wrong with that.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) bulk_calls: u64,
    pub(super) single_calls: u64,
    pub(super) value_calls: u64,
    pub(super) violations: Vec<String>,
}

impl Books {
    pub(super) const fn tag_calls(&self) -> u64 {
        self.bulk_calls + self.single_calls
    }
}

impl Registry {
    /// A service that calls some machines dead, names them so when it refuses a call, and takes so long for an answer.
    pub(super) fn new(
        dead: impl Iterator<Item = MachineId>,
        (dead_naming, bulk_refusal_status): (DeadNaming, BulkRefusalStatus),
        to_be_added: BTreeMap<MachineId, BTreeSet<String>>,
        latency: RangeInclusive<Duration>,
        seed: u64,
    ) -> Self {
        let machines = dead.map(|id| SandboxMachine { dead: true, ..SandboxMachine::new(id.to_string()) }).collect();
        let settings = InMemory::of_anybody();
        let settings = SandboxSettings { machines, dead_naming, bulk_refusal_status, ..settings };
        let random = Mutex::new(fastrand::Rng::with_seed(seed));
        Self { tenant: InMemory::new(settings), to_be_added, latency, random, books: Mutex::default() }
    }

    /// What is wrong with a call that was carried out, or is to be.
    fn audit(&self, request: &ApiRequest, answer: &Answer) {
        let machines = machines_of(request);
        let mut books = self.books.lock().expect("books");
        match request {
            ApiRequest::ChangeTagOnMachines { .. } => books.bulk_calls += 1,
            ApiRequest::ChangeTag { .. } => books.single_calls += 1,
            _ => books.value_calls += 1,
        }
        let different: BTreeSet<&MachineId> = machines.iter().collect();
        if different.len() < machines.len() || machines.len() > 500 {
            books.violations.push(format!("{} machines, {} different ones", machines.len(), different.len()));
        }
        let Some((TagAction::Remove, tag)) = tag_of(request).filter(|_| is_success(answer)) else { return };
        for machine in machines {
            let wanted = self.to_be_added.get(&machine);
            if !wanted.into_iter().flatten().all(|wanted| self.tenant.has_tag(&machine, wanted)) {
                books.violations.push(format!("{machine} lost {tag} before it got its new tags"));
            }
        }
    }
}

#[async_trait]
impl Transport for Registry {
    async fn prepare(&self) -> Result<(), SignInError> {
        Ok(())
    }

    async fn send(&self, request: &ApiRequest) -> Result<(Answer, TokenGeneration), SignInError> {
        let (least, most) = (*self.latency.start(), *self.latency.end());
        let share = self.random.lock().expect("a seed").f64();
        tokio::time::sleep(least + most.saturating_sub(least).mul_f64(share)).await;
        let answer = self.tenant.serve(request);
        self.audit(request, &answer);
        Ok((answer, TokenGeneration(0)))
    }

    async fn renew(&self, _refused: TokenGeneration) -> Result<(), SignInError> {
        Ok(())
    }
}
