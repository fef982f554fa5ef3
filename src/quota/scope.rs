//! Which buckets count together.

use super::limits::{Quota, QuotaScope};
use crate::model::Bucket;

/// Where each API counts on its own.
const APIS: &[&[Bucket]] = &[&[Bucket::Machines], &[Bucket::Tags, Bucket::BulkTags], &[Bucket::Value]];
/// Where single and bulk tag calls do, too.
const APART: &[&[Bucket]] = &[&[Bucket::Machines], &[Bucket::Tags], &[Bucket::BulkTags], &[Bucket::Value]];

impl QuotaScope {
    /// All buckets, in groups that share a quota.
    pub(crate) const fn groups(self) -> &'static [&'static [Bucket]] {
        match self {
            Self::Api => APIS,
            Self::App => &[&Bucket::ALL],
            Self::Auto => APART,
        }
    }

    /// The buckets whose calls count together with those of this one, itself among them.
    pub(crate) fn together_with(self, bucket: Bucket) -> &'static [Bucket] {
        self.groups().iter().find(|group| group.contains(&bucket)).copied().unwrap_or(&Bucket::ALL)
    }

    /// Whether single and bulk tag calls count apart.
    pub(crate) const fn counts_bulk_apart(self) -> bool {
        matches!(self, Self::Auto)
    }
}

/// How many tag calls go as single and how many as bulk calls, where both count apart: bulk calls relieve single ones where
/// there are more of those, and more altogether than a window takes.
pub(crate) fn side_by_side(quota: &Quota, single: u64, bulk: u64) -> (u64, u64) {
    let all = single + bulk;
    if single > bulk && relieves(quota, all) { (all.div_ceil(2), all / 2) } else { (single, bulk) }
}

/// Whether it is worth while to use both buckets for so many tag calls: they are more than a window takes.
pub(crate) fn relieves(quota: &Quota, calls: u64) -> bool {
    quota.limits().iter().any(|limit| calls > u64::from(limit.calls.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_is_in_one_group_of_every_scope() {
        for scope in [QuotaScope::Api, QuotaScope::App, QuotaScope::Auto] {
            for bucket in Bucket::ALL {
                let groups = scope.groups().iter().filter(|group| group.contains(&bucket)).count();
                assert_eq!(groups, 1, "{scope:?} {bucket:?}");
            }
        }
        assert_eq!(QuotaScope::Api.together_with(Bucket::BulkTags), [Bucket::Tags, Bucket::BulkTags]);
        assert_eq!(QuotaScope::Auto.together_with(Bucket::BulkTags), [Bucket::BulkTags]);
    }

    #[test]
    fn bulk_calls_relieve_single_ones_where_a_window_is_not_enough() {
        let quota: Quota = "100/1m,1500/1h".parse().expect("a quota");
        let table = [
            ((3000, 0), (1500, 1500)),
            ((3000, 1001), (2001, 2000)),
            ((100, 0), (100, 0)),
            ((10, 500), (10, 500)),
            ((60, 41), (51, 50)),
        ];
        for ((single, bulk), expected) in table {
            assert_eq!(side_by_side(&quota, single, bulk), expected, "{single} and {bulk}");
        }
        assert_eq!(side_by_side(&Quota::default(), 3000, 0), (3000, 0));
    }
}
