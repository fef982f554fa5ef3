//! Cases of one test that spend most of their time waiting.

/// Looks at all of these side by side: a process whose lock file is gone is waited for, and so is a disk.
pub(in crate::store) async fn at_once(cases: impl IntoIterator<Item = impl Future<Output = ()> + 'static>) {
    let (here, mut under_way) = (tokio::task::LocalSet::new(), tokio::task::JoinSet::new());
    for case in cases {
        under_way.spawn_local_on(Box::pin(case), &here);
    }
    let looking = async {
        while let Some(looked) = under_way.join_next().await {
            looked.expect("the case holds");
        }
    };
    here.run_until(looking).await;
}
