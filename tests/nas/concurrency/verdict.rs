//! What was told, call by call, against what there is in the end.

use std::collections::{BTreeMap, BTreeSet};

use pve_storage_truenas::volume::Volname;

use super::end::original;
use super::journal::{Call, Deed, Said};
use super::order::{Event, explain};
use super::volume::{Act, State};
use super::worker::Manner;

/// What a call says of volumes, by the names of their zvols.
type Acts = Vec<(String, Act)>;

pub fn zvol_of(volname: &str) -> String {
    Volname::parse(volname).unwrap().zvol.to_string()
}

pub fn guest_of(volname: &str) -> u32 {
    Volname::parse(volname).unwrap().owner().unwrap()
}

/// Refusals that are true of the moment in which they came; all others are failures.
fn is_honest(manner: Manner, call: &Call, kind: &str, text: &str) -> bool {
    match (&call.deed, kind) {
        // What has clones stays.
        (Deed::Free { .. } | Deed::Unsnapshot { .. }, "InUse") => {
            manner == Manner::Wild || !was_made_again(call)
        }
        // Looked at without a lock, and freed meanwhile.
        (Deed::Size { .. } | Deed::Snapshots { .. }, "NotFound") => true,
        _ if manner == Manner::Orderly => false,
        // Two chose the same name, and one got it.
        (Deed::Alloc { .. } | Deed::Clone { .. } | Deed::Snapshot { .. }, "Exists") => true,
        // The server's check and its insertion are apart: others were there every time.
        (Deed::Alloc { .. } | Deed::Clone { .. }, "InUse") => text.contains("other calls took every"),
        // Deleted, and when the plugin looked why, made again; the first words are those of 25.10, the others those of 26.
        (Deed::Clone { .. }, "Refused") => {
            text.contains("dataset does not exist") || text.contains("not found")
        }
        // Freed meanwhile.
        (
            Deed::Resize { .. } | Deed::Snapshot { .. } | Deed::Clone { .. } | Deed::Free { .. },
            "NotFound",
        ) => true,
        // Volumes only grow; of two that grow one at once, one is told so by the server.
        (Deed::Resize { .. }, "Invalid") => true,
        (Deed::Resize { .. }, "Refused") => text.contains("You cannot shrink a zvol"),
        // Cloned while it was freed.
        (Deed::Finish { .. }, "InUse") => true,
        _ => false,
    }
}

/// A clone of the volume may have been there when the call was refused.
fn may_have_had_clones(calls: &[Call], refused: &Call) -> bool {
    if was_made_again(refused) {
        return true;
    }
    let zvol = match &refused.deed {
        Deed::Free { volname } | Deed::Unsnapshot { volname, .. } => zvol_of(volname),
        Deed::Finish { token } => original(token).to_owned(),
        _ => return true,
    };
    calls.iter().any(|call| {
        call.begin < refused.end
            && matches!(&call.deed, Deed::Clone { volname, .. } if zvol_of(volname) == zvol)
    })
}

/// A snapshot that was there when the plugin looked whether it was gone.
fn was_made_again(call: &Call) -> bool {
    matches!((&call.deed, &call.said), (Deed::Unsnapshot { .. }, Said::Refused(_, text)) if text.contains("is still there"))
}

/// One line for each refusal that nobody can justify.
pub fn dishonest(manner: Manner, calls: &[Call]) -> Vec<String> {
    let refused = calls.iter().filter_map(|call| match &call.said {
        Said::Refused(kind, text) => Some((call, kind, text)),
        _ => None,
    });
    let limited = |kind: &str| kind == "RateLimited";
    let late = refused.clone().filter(|(_, kind, _)| limited(kind)).count();
    let wrong = refused.filter(|(call, kind, text)| {
        // A process that a busy machine does not let meet the node session in time logs in by itself, and is told when a login
        // is free. More than one in fifty is a session that serves nobody.
        if limited(kind) && late * 50 <= calls.len() {
            return false;
        }
        !is_honest(manner, call, kind, text) || (*kind == "InUse" && !may_have_had_clones(calls, call))
    });
    wrong
        .map(|(call, kind, text)| format!("{} {:?}: {kind}: {text}", call.who, call.deed))
        .collect()
}

/// How often each verb was done, and refused for which reason.
pub fn tally(calls: &[Call]) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for call in calls {
        let verb = format!("{:?}", call.deed);
        let verb = verb.split([' ', '{']).next().unwrap_or_default();
        let outcome = match &call.said {
            Said::Refused(kind, _) => kind.as_str(),
            _ => "done",
        };
        *tally.entry(format!("{verb} {outcome}")).or_default() += 1;
    }
    tally
}

/// `found` is what there is in the end, by names.
pub fn unexplained(calls: &[Call], found: &BTreeMap<String, State>) -> Vec<String> {
    let mut events: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    let add = |events: &mut BTreeMap<String, Vec<Event>>, call: &Call, (zvol, act): (String, Act)| {
        events.entry(zvol).or_default().push(Event {
            who: call.who.clone(),
            perhaps: matches!(call.said, Said::Refused(..)) && act.changes(),
            act,
            begin: call.begin,
            end: call.end,
        });
    };
    for call in calls {
        for act in acts(call) {
            add(&mut events, call, act);
        }
    }
    let names: Vec<String> = events.keys().cloned().collect();
    for call in calls {
        for act in taken_back(call, &names) {
            add(&mut events, call, act);
        }
    }
    for zvol in found.keys() {
        events.entry(zvol.clone()).or_default();
    }
    let lists = calls.iter().filter_map(|call| match &call.said {
        Said::Volumes(rows) => Some((call, sizes(rows))),
        _ => None,
    });
    let names: Vec<String> = events.keys().cloned().collect();
    for (call, rows) in lists {
        for zvol in &names {
            let act = rows.get(zvol).map_or(Act::Absent, |size| Act::Seen(*size));
            add(&mut events, call, (zvol.clone(), act));
        }
    }
    let end = |zvol: &str| Event {
        who: "the end".into(),
        act: Act::Is(found.get(zvol).cloned().flatten()),
        perhaps: false,
        begin: usize::MAX - 1,
        end: usize::MAX,
    };
    let told = events.into_iter().filter_map(|(zvol, mut events)| {
        events.sort_by_key(|event| event.begin);
        events.push(end(&zvol));
        explain(&events).err().map(|why| format!("{zvol}: {why}"))
    });
    told.collect()
}

fn sizes(rows: &[(String, u64)]) -> BTreeMap<String, u64> {
    let sizes: BTreeMap<String, u64> = rows.iter().map(|(name, size)| (zvol_of(name), *size)).collect();
    assert_eq!(sizes.len(), rows.len(), "one volume twice in a list: {rows:?}");
    sizes
}

fn acts(call: &Call) -> Acts {
    let of = |volname: &str, act: Act| vec![(zvol_of(volname), act)];
    match (&call.deed, &call.said) {
        (Deed::Unsnapshot { volname, snapshot }, Said::Refused(..)) if was_made_again(call) => {
            of(volname, Act::Unsnapped(snapshot.clone()))
        }
        (deed, Said::Refused(kind, _)) => refused(deed, kind),
        (Deed::Alloc { size, .. }, Said::Name(name)) => of(name, Act::Made(call.who.clone(), Some(*size))),
        (
            Deed::Clone {
                volname, snapshot, ..
            },
            Said::Name(name),
        ) => vec![
            (zvol_of(volname), Act::HasSnapshot(snapshot.clone())),
            (zvol_of(name), Act::Made(call.who.clone(), None)),
        ],
        (Deed::Free { volname }, _) => of(volname, Act::Gone),
        (Deed::Resize { volname, .. }, Said::Size(size)) => of(volname, Act::Grown(*size)),
        (Deed::Size { volname }, Said::Size(size)) => of(volname, Act::Seen(*size)),
        (Deed::Snapshot { volname, snapshot }, _) => of(volname, Act::Snapped(snapshot.clone())),
        (Deed::Unsnapshot { volname, snapshot }, _) => of(volname, Act::Unsnapped(snapshot.clone())),
        (Deed::Snapshots { volname }, Said::Names(names)) => of(
            volname,
            Act::HasSnapshots(names.iter().cloned().collect::<BTreeSet<_>>()),
        ),
        _ => Vec::new(),
    }
}

/// What a refused call may have made for a moment: nobody says under which of the guest's names.
fn taken_back(call: &Call, names: &[String]) -> Acts {
    let vmid = match (&call.deed, &call.said) {
        (Deed::Alloc { vmid, .. } | Deed::Clone { vmid, .. }, Said::Refused(kind, _))
            if !matches!(kind.as_str(), "Exists" | "NotFound") =>
        {
            *vmid
        }
        _ => return Vec::new(),
    };
    let own = names.iter().filter(|name| guest_of(name) == vmid);
    let acts = |name: &String| {
        let size = match call.deed {
            Deed::Alloc { size, .. } => Some(size),
            _ => None,
        };
        let made = Act::Made(call.who.clone(), size);
        [
            (name.clone(), made),
            (name.clone(), Act::TakenBack(call.who.clone())),
        ]
    };
    own.flat_map(acts).collect()
}

/// A refusal that gives a reason says what there was.
fn refused(deed: &Deed, kind: &str) -> Acts {
    let act = match (deed, kind) {
        (Deed::Resize { size, .. }, "Invalid" | "Refused") => Act::LargerThan(*size),
        (Deed::Clone { snapshot, .. }, "NotFound") => Act::LacksSnapshot(snapshot.clone()),
        (_, "NotFound") => Act::Absent,
        (Deed::Snapshot { snapshot, .. }, "Exists") => Act::HasSnapshot(snapshot.clone()),
        _ => return Vec::new(),
    };
    match deed {
        Deed::Resize { volname, .. }
        | Deed::Clone { volname, .. }
        | Deed::Free { volname }
        | Deed::Size { volname }
        | Deed::Snapshots { volname }
        | Deed::Snapshot { volname, .. } => vec![(zvol_of(volname), act)],
        _ => Vec::new(),
    }
}
