//! The archive's object store refuses, hangs, is full, loses what it acknowledged, or returns damaged
//! bytes: writes go on, nothing wrong is restored, what is damaged is named, and the work resumes by
//! itself.

use super::archive::{Content, content, latest_ms, restore, source_at};
use super::faulty_store::{Fault, FaultyStore};
use super::region::Region;
use super::testing::{definition, eventually, put};
use crate::archive::objects::ObjectError;
use crate::archive::reading::folded;
use crate::node::Node;
use meridian_api::admin::{AdminBackend, AdminCall, AdminError};
use meridian_api::backend::{Backend, Consistency};
use meridian_archive::{ArchiveError, Subject};
use meridian_base::{PartitionId, Position};
use meridian_control::region::OwnChange;
use meridian_control::table::TableStatus;
use meridian_model::{AttributeValue, Key};
use meridian_partition::Reader;
use meridian_storage::EngineKind;
use object_store::path::Path;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest that a write may take on a loaded machine: less than a call of the store may.
const WRITE_MAX: Duration = Duration::from_secs(5);
/// How long what was archived stays in the change log here.
const CHECK_EVERY: Duration = Duration::from_secs(3);

struct Faults {
    region: Region,
    store: Arc<FaultyStore>,
    now: Content,
    moments: Vec<(u64, Content)>,
}

impl Faults {
    /// A region whose table is archived, with a moment.
    async fn start(engine: EngineKind, check_every: Duration) -> Faults {
        let store = Arc::new(FaultyStore::new());
        let region = Region::start_with(engine, Arc::clone(&store) as _, check_every).await;
        let mut faults = Faults { region, store, now: BTreeMap::new(), moments: Vec::new() };
        faults.write("before").await;
        let recovery = OwnChange::Recovery(Some(1));
        faults.node().change_own("t", recovery).await.unwrap();
        eventually("the archive has begun", async || latest_ms(faults.node()).await > 0).await;
        faults.write("begun").await;
        faults.moment().await;
        faults
    }

    fn node(&self) -> &Arc<Node> {
        self.region.nodes.values().next().unwrap()
    }

    /// Writes items, each within its time.
    async fn write(&mut self, value: &str) {
        for n in 0..20 {
            let (key, began) = (format!("k{n}"), Instant::now());
            put(self.node(), &key, value).await;
            assert!(began.elapsed() < WRITE_MAX, "{value}: a write took {:?}", began.elapsed());
            self.now.insert(key, value.to_owned());
        }
        let only = format!("only {value}");
        put(self.node(), &only, value).await;
        self.now.insert(only, value.to_owned());
    }

    /// A moment in which nothing is written, on whichever clock.
    async fn moment(&mut self) {
        tokio::time::sleep(Duration::from_millis(400)).await;
        self.moments.push((self.node().now_ms(), self.now.clone()));
        tokio::time::sleep(Duration::from_millis(400)).await;
    }

    async fn is_archived(&self) {
        let last_ms = self.moments.last().unwrap().0;
        let node = self.node();
        eventually("the last moment is archived", async || latest_ms(node).await > last_ms).await;
    }

    /// Restores moments and compares them.
    async fn compare(&self, from: usize) {
        for (number, (at_ms, expected)) in self.moments.iter().enumerate().skip(from) {
            let name = format!("restored-{number}");
            restore(self.node(), &name, *at_ms).await;
            assert_eq!(content(self.node(), &name, &self.now).await, *expected, "{name}");
        }
    }

    /// The newest segment of each partition.
    async fn newest_segments(&self) -> Vec<Path> {
        let mut newest = BTreeMap::new();
        for name in self.store.names("/log/").await {
            newest.insert(partition_of(&name), name);
        }
        newest.into_values().collect()
    }

    /// Waits until the change logs have let go of everything.
    async fn is_let_go(&self) {
        eventually("the change logs are let go", async || {
            let hosted = self.region.nodes.values().flat_map(|node| node.hosting.partitions());
            // A cursor lets go of changes; until they are trimmed, whoever comes to lead mends with them.
            let behind = |one: &Arc<crate::hosting::HostedPartition>| {
                let header = one.replica.header();
                one.cursor(Reader::Archive).is_some() && header.trimmed < header.position
            };
            !hosted.into_iter().any(|one| behind(&one))
        })
        .await;
    }

    /// What reading a partition's state at a time fails with.
    async fn damage(&self, of: PartitionId, at_ms: u64) -> ArchiveError {
        let table = self.node().table("t").unwrap().id;
        let objects = self.node().objects_of(Subject::Table(table)).unwrap();
        let fold = async {
            let (plan, mut fold) = folded(&objects, of, at_ms).await?;
            for name in plan.chunks() {
                let whole = objects.name_of(&name);
                let plain = objects.must(&name).await?;
                fold.merge_chunk(&whole, meridian_archive::BaseChunk::decode(&whole, &plain)?)?;
            }
            Ok::<_, ObjectError>(())
        };
        match fold.await {
            Err(ObjectError::Archive(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    /// A restore that does not get done, and shows nothing.
    async fn is_not_restored(&self, name: &str, at_ms: u64, damaged: &Path) {
        let node = self.node();
        let source = source_at(node, at_ms);
        node.restore_table(name, definition(), source).await.unwrap();
        let before = self.store.reads(damaged);
        eventually("it is tried again and again", async || self.store.reads(damaged) > before + 4)
            .await;
        assert_eq!(node.table(name).unwrap().status, TableStatus::Creating);
        let key = Key { partition: AttributeValue::S("k0".to_owned()), sort: None };
        let table = node.table(name).unwrap();
        let shown = node.get(&table, key, Consistency::Strong).await;
        assert!(shown.as_ref().map_or(true, |shown| shown.item.is_none()), "{shown:?}");
        // The way out.
        let drop =
            async |table: &str| node.call(AdminCall::TableDrop { table: table.into() }).await;
        assert!(matches!(drop("t").await, Err(AdminError::Refused(_))));
        drop(name).await.unwrap();
        eventually("the table is gone", async || node.table(name).is_none()).await;
    }

    /// Stops each node in turn and starts it again, so that every partition gets another leader.
    async fn lead_elsewhere(&mut self) {
        for id in [1, 2, 3] {
            self.region.stop_node(id).await;
            self.region.start_node(id).await;
            self.region.is_ready().await;
        }
    }
}

fn partition_of(name: &Path) -> PartitionId {
    let part = name
        .parts()
        .find_map(|part| part.as_ref().strip_prefix('p').and_then(|number| number.parse().ok()));
    PartitionId(part.unwrap())
}

/// The last position of a segment.
fn last_of(name: &Path) -> Position {
    let last = name.as_ref().rsplit_once('-').unwrap().1;
    Position(last.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_go_on_while_the_store_fails_and_every_moment_comes_back() {
    let mut faults = Faults::start(EngineKind::Memory, CHECK_EVERY).await;
    for fault in [Fault::Refuses, Fault::Full, Fault::Hangs] {
        faults.is_archived().await;
        faults.store.set(fault);
        let stands_ms = if fault == Fault::Full { latest_ms(faults.node()).await } else { 0 };
        for round in 0..3 {
            faults.write(&format!("{fault:?} {round}")).await;
            faults.moment().await;
        }
        if fault == Fault::Full {
            let latest = latest_ms(faults.node()).await;
            // A put that was under way may have come through.
            assert!(latest < stands_ms + 2_000, "{latest} after {stands_ms}");
        }
        faults.store.set(Fault::None);
    }
    faults.is_archived().await;
    faults.compare(0).await;
    faults.region.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_loses_or_damages_of_late_is_put_anew() {
    let mut faults = Faults::start(EngineKind::Memory, CHECK_EVERY).await;
    for (round, damages) in [(0, false), (1, true)] {
        faults.write(&format!("round {round}")).await;
        faults.moment().await;
        faults.is_archived().await;
        // The watermark says that they are there.
        let newest = faults.newest_segments().await;
        assert_eq!(newest.len(), 2);
        for name in &newest {
            if damages {
                faults.store.damage(name).await;
            } else {
                faults.store.lose(name).await;
            }
        }
        if damages {
            let at_ms = faults.moments.last().unwrap().0;
            let error = faults.damage(partition_of(&newest[0]), at_ms).await;
            let ArchiveError::Damaged { object, offset, .. } = &error else { panic!("{error}") };
            assert_eq!(*object, newest[0].to_string());
            assert!(*offset > 0 && error.to_string().contains("is damaged at byte"), "{error}");
        }
        faults.is_let_go().await;
        let found = faults.newest_segments().await;
        assert!(found.iter().zip(&newest).all(|(a, b)| last_of(a) >= last_of(b)), "{found:?}");
    }
    // Without its key nothing could be read any more.
    let keys = faults.store.names("/keys/").await;
    faults.store.lose(&keys[0]).await;
    eventually("the key is there again", async || faults.store.names("/keys/").await == keys).await;
    faults.write("after").await;
    faults.moment().await;
    faults.is_archived().await;
    faults.compare(0).await;
    faults.region.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_that_is_lost_or_damaged_is_taken_again() {
    let mut faults = Faults::start(EngineKind::Memory, Duration::from_secs(8)).await;
    let ends = faults.store.names("/end").await;
    for name in &ends {
        faults.store.lose(name).await;
    }
    eventually("there are bases again", async || {
        faults.store.names("/end").await.len() == ends.len()
    })
    .await;
    let mut chunks = faults.store.names("/base/").await;
    chunks.retain(|name| !name.as_ref().ends_with("/end"));
    for chunk in &chunks {
        faults.store.damage(chunk).await;
    }
    // Otherwise the next ones would have the same names.
    faults.write("between").await;
    eventually("there are others beside the damaged ones", async || {
        faults.store.names("/end").await.len() == 2 * ends.len()
    })
    .await;
    faults.write("after").await;
    faults.moment().await;
    faults.is_archived().await;
    faults.compare(1).await;
    faults.is_let_go().await;
    faults.region.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_leader_mends_what_was_lost_before_it() {
    // Longer than the test takes: it is the new leader that looks.
    let mut faults = Faults::start(EngineKind::Fjall, Duration::from_secs(600)).await;
    faults.write("lost").await;
    faults.moment().await;
    faults.is_archived().await;
    faults.store.set(Fault::Refuses);
    for name in faults.newest_segments().await {
        faults.store.lose(&name).await;
    }
    faults.lead_elsewhere().await;
    faults.store.set(Fault::None);
    faults.write("after").await;
    faults.moment().await;
    faults.is_archived().await;
    faults.compare(0).await;
    faults.region.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_damage_is_named_and_never_restored_and_later_moments_come_back() {
    let mut faults = Faults::start(EngineKind::Fjall, Duration::from_millis(500)).await;
    faults.write("damaged").await;
    faults.moment().await;
    faults.is_archived().await;
    faults.is_let_go().await;
    let newest = faults.newest_segments().await;
    // Before the damage: from then on whoever comes to lead, on a loaded machine at any time, takes one.
    let bases = faults.store.names("/end").await.len();
    for name in &newest {
        faults.store.damage(name).await;
    }
    let (at_ms, _) = faults.moments[1];
    let error = faults.damage(partition_of(&newest[0]), at_ms).await;
    let ArchiveError::Damaged { object, offset, .. } = &error else { panic!("{error}") };
    assert!(*object == newest[0].to_string() && *offset > 0, "{error}");
    faults.is_not_restored("not-restored", at_ms, &newest[0]).await;
    faults.lead_elsewhere().await;
    // It cannot be mended, so that it begins anew from what the tables hold now.
    eventually("there are new bases", async || faults.store.names("/end").await.len() >= bases + 2)
        .await;
    faults.write("after").await;
    faults.moment().await;
    faults.is_archived().await;
    faults.compare(2).await;
    let mut chunks = faults.store.names("/base/").await;
    chunks.retain(|name| !name.as_ref().ends_with("/end"));
    let chunk = chunks.pop().unwrap();
    faults.store.damage(&chunk).await;
    let (at_ms, _) = faults.moments[2];
    let error = faults.damage(partition_of(&chunk), at_ms).await;
    let ArchiveError::Damaged { object, .. } = &error else { panic!("{error}") };
    assert_eq!(*object, chunk.to_string());
    for name in faults.store.names("/watermark").await {
        faults.store.damage(&name).await;
    }
    faults.moment().await;
    let node = Arc::clone(faults.node());
    let table = node.table("t").unwrap();
    let last_ms = faults.moments.last().unwrap().0;
    eventually("the watermarks are put anew", async || {
        let range = Node::restorable(&node, &table).await;
        range.is_ok_and(|range| range.is_some_and(|range| range.latest_ms > last_ms))
    })
    .await;
    faults.region.stop().await;
}
