//! A server that lies about one value of one answer, for every operation, every answer and every value.

mod frames;
mod lies;
mod memory;
mod operations;
mod proxy;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pve_storage_truenas::error::{Error, Kind};
use truenas_sim::iscsi::Iscsi as IscsiTables;
use truenas_sim::nvmet::Nvmet;
use truenas_sim::zfs::Zfs;

use self::lies::Lie;
use self::operations::{Operation, Proof};
use self::proxy::{Heard, Proxy};
use crate::support::Nas;
use crate::transport::Transport;

/// As many of all cases as every run can spare for an operation, the same ones each time.
const SPARED: usize = 80;
/// Longer than all waits of one operation, shorter than a hang.
const LONGEST: Duration = Duration::from_secs(100);

type Told = Result<String, Error>;

struct Scene {
    nas: Nas,
    proxy: Proxy,
    operation: Operation,
    tables: (Zfs, IscsiTables, Nvmet),
}

impl Scene {
    fn of(name: &str, over: Transport) -> Self {
        let nas = over.unrecorded(&["--plain", "--link-delay", "0"]);
        operations::prepare(&nas);
        let tables = nas
            .server
            .nas(|nas| (nas.zfs.clone(), nas.iscsi.clone(), nas.nvmet.clone()));
        Self {
            proxy: Proxy::before(&nas),
            operation: operations::named(name),
            nas,
            tables,
        }
    }

    /// From the same state each time. A panic is no result.
    fn run(&self, lie: Option<&Lie>) -> Result<Told, String> {
        self.nas.server.nas(|nas| {
            (nas.zfs, nas.iscsi, nas.nvmet) = self.tables.clone();
        });
        let change = lie.map(|lie| {
            let (number, lie) = (lie.answer, lie.clone());
            let change: proxy::Change = Arc::new(move |answer| vec![lie.told_in(answer).to_string()]);
            (number, change)
        });
        self.proxy.plan(change);
        let config = self.proxy.config(&self.nas);
        let started = Instant::now();
        let told = catch_unwind(AssertUnwindSafe(|| (self.operation.run)(&config)));
        match started.elapsed() {
            took if took > LONGEST => Err(format!("it took {took:?}")),
            _ => told.map_err(|_| "it panicked".to_owned()),
        }
    }

    fn honest(&self) -> (Told, Vec<Heard>) {
        let told = self.run(None).unwrap();
        (told, self.proxy.heard())
    }

    fn judge(&self, lie: &Lie, honest: &Told) -> Result<(), String> {
        let told = match self.run(Some(lie))? {
            Ok(told) => told,
            Err(error) => return advised(&error),
        };
        let proved = match self.operation.proved {
            Proof::Never => false,
            // What could be so has to be believed.
            Proof::Same => !lie.is_impossible() || honest.as_ref() == Ok(&told),
            Proof::Gone(_) if lie.could_be_so() => true,
            Proof::State(holds) | Proof::Gone(holds) => {
                self.nas.server.nas(|nas| holds(nas, self.nas.transport, &told))
            }
        };
        match proved {
            true => Ok(()),
            false => Err(format!("it told {told:.300}")),
        }
    }
}

fn advised(error: &Error) -> Result<(), String> {
    match (error.kind, &error.advice) {
        (Kind::Internal, _) => Err(format!("our own fault: {error}")),
        (_, None) => Err(format!("no advice: {error:.300}")),
        _ => Ok(()),
    }
}

fn lies_to(name: &str, over: Transport) {
    let scene = Scene::of(name, over);
    let (honest, heard) = scene.honest();
    if !matches!(scene.operation.proved, Proof::Never) {
        assert!(honest.is_ok(), "{honest:?}");
    }
    let all = lies::about(&heard);
    let step = match std::env::var_os("TRUENAS_TEST_FULL") {
        Some(_) => 1,
        None => all.len().div_ceil(SPARED),
    };
    let told: Vec<&Lie> = all.iter().step_by(step.max(1)).collect();
    println!("{name}: {} of {} lies", told.len(), all.len());
    assert!(told.len() >= 10, "{name} hears nothing");
    let judged = told.iter().map(|lie| (lie, scene.judge(lie, &honest)));
    let failed: Vec<String> = judged
        .filter_map(|(lie, judged)| Some(format!("{name}, {lie}: {}", judged.err()?)))
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {}:\n{}",
        failed.len(),
        told.len(),
        failed.join("\n")
    );
}

macro_rules! every_lie {
    ($($operation:ident)*) => {
        mod every_lie {
            use rstest::rstest;

            use crate::transport::{Iscsi, Nvme, Transport};

            $(#[rstest]
            fn $operation(#[values(Iscsi, Nvme)] over: Transport) {
                super::lies_to(stringify!($operation), over);
            })*
        }

        #[test]
        fn every_operation_is_lied_to() {
            let tested = [$(stringify!($operation)),*];
            let all: Vec<&str> = operations::ALL.iter().map(|operation| operation.name).collect();
            assert_eq!(tested.as_slice(), all);
        }
    };
}

every_lie! {
    list size status identity snapshots rollback_is_possible notes activate alloc resize snapshot snapshot_delete
    snapshot_rollback rename_snapshot create_base clone rename_volume set_notes free
}
