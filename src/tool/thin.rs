//! `thin`, as people and programs read it.

use std::fmt::Write;

use serde_json::{Value, json};

use super::arguments::Thin;
use super::{Exit, Said, sections};
use crate::config::Config;
use crate::config::section::Section;
use crate::error::{Error, Result};
use crate::ops::{self, Danger, Pool, Share};
use crate::volume::size;

/// Storages of one pool of one TrueNAS, or one that says nothing of either.
struct Group {
    /// `tank@nas.example`
    name: String,
    storages: Vec<Config>,
    failed: Option<Error>,
}

pub fn run(order: &Thin) -> Result<Said> {
    let groups = grouped(&sections(&order.storages)?);
    let looks: Vec<(String, Result<Pool>)> = std::thread::scope(|scope| {
        let looks: Vec<_> = groups
            .into_iter()
            .map(|group| (group.name.clone(), scope.spawn(move || look(group))))
            .collect();
        let panicked = || {
            Err(Error::new(
                crate::error::Kind::Internal,
                "the look ended with a panic",
            ))
        };
        let ended = looks.into_iter();
        ended
            .map(|(name, look)| (name, look.join().unwrap_or_else(|_| panicked())))
            .collect()
    });
    Ok(Said {
        text: looks.iter().map(|(name, pool)| text(name, pool)).collect(),
        json: json!({"pools": looks.iter().map(|(name, pool)| object(name, pool)).collect::<Vec<Value>>()}),
        warnings: Vec::new(),
        exit: looks
            .iter()
            .map(|(_, pool)| exit(pool))
            .max()
            .unwrap_or(Exit::Done),
        tells_all: true,
    })
}

fn grouped(sections: &[Section]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for section in sections {
        let config = match section.config() {
            Ok(config) => config,
            Err(error) => {
                groups.push(Group {
                    name: section.storeid.clone(),
                    storages: Vec::new(),
                    failed: Some(error),
                });
                continue;
            }
        };
        let pool = config.dataset.split('/').next().unwrap_or_default();
        let name = format!("{pool}@{}", config.nas.host);
        let same = |group: &&mut Group| {
            group.name == name
                && group
                    .storages
                    .iter()
                    .all(|other| other.nas.port == config.nas.port)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.storages.push(config),
            None => groups.push(Group {
                name,
                storages: vec![config],
                failed: None,
            }),
        }
    }
    groups
}

fn look(group: Group) -> Result<Pool> {
    match group.failed {
        Some(error) => Err(error),
        None => ops::thin(&group.storages.iter().collect::<Vec<_>>()),
    }
}

fn exit(pool: &Result<Pool>) -> Exit {
    match pool.as_ref().map(|pool| pool.danger) {
        Ok(Danger::None) => Exit::Done,
        Ok(Danger::Warning) => Exit::Warning,
        Ok(Danger::Critical) | Err(_) => Exit::Failed,
    }
}

fn word(danger: Danger) -> &'static str {
    match danger {
        Danger::None => "ok",
        Danger::Warning => "warning",
        Danger::Critical => "critical",
    }
}

/// `2.5`, or nothing where there is nothing to compare with.
fn times(part: u64, whole: u64) -> Option<String> {
    (whole > 0).then(|| format!("{:.1}", part as f64 / whole as f64))
}

fn text(name: &str, pool: &Result<Pool>) -> String {
    let pool = match pool {
        Ok(pool) => pool,
        Err(error) => return format!("{name}: failed\n  {error}\n"),
    };
    let mut text = format!("{name}: {}\n", word(pool.danger));
    for (what, said) in rows(pool) {
        let _a_string_takes_all = writeln!(text, "  {what:<10} {said}");
    }
    if let Some(advice) = advice(pool) {
        let _a_string_takes_all = writeln!(text, "      -> {advice}");
    }
    text
}

fn counted(volumes: u64) -> String {
    let s = if volumes == 1 { "" } else { "s" };
    format!("{volumes} volume{s}")
}

fn rows(pool: &Pool) -> Vec<(&str, String)> {
    let (room, human) = (pool.room, size::human);
    let whole = room.used.saturating_add(room.available);
    let volumes: u64 = pool.shares.iter().map(|share| share.volumes).sum();
    let compared = |part, whole, with: &str| {
        times(part, whole).map_or(String::new(), |times| format!(", {times} times {with}"))
    };
    let mut rows = vec![
        (
            "size",
            format!(
                "{}, {} % used, {} available",
                human(whole),
                room.percent_used(),
                human(room.available)
            ),
        ),
        (
            "promised",
            format!(
                "{} to {}{}",
                human(pool.promised),
                counted(volumes),
                compared(pool.promised, whole, "its size")
            ),
        ),
        (
            "may grow",
            format!(
                "{}{}",
                human(room.may_grow),
                compared(room.may_grow, room.available, "what is available")
            ),
        ),
    ];
    rows.extend(pool.shares.iter().map(row));
    rows.extend(
        pool.largest
            .iter()
            .map(|(name, grow)| ("most", format!("{name} may grow by {}", human(*grow)))),
    );
    rows
}

fn row(share: &Share) -> (&str, String) {
    let name = if share.storeid.is_empty() {
        "others"
    } else {
        &share.storeid
    };
    let human = size::human;
    let said = format!(
        "{} in {}, {} used, {} to grow",
        human(share.promised),
        counted(share.volumes),
        human(share.used),
        human(share.may_grow)
    );
    (name, said)
}

fn advice(pool: &Pool) -> Option<String> {
    (pool.danger > Danger::None).then(|| {
        "guests stop when nothing is left: add disks to the pool, or delete volumes or snapshots; tn_overcommit limits new volumes".into()
    })
}

fn object(name: &str, pool: &Result<Pool>) -> Value {
    let pool = match pool {
        Ok(pool) => pool,
        Err(error) => {
            return json!({"pool": name, "grade": "failed", "error": error.to_string(), "advice": error.advice});
        }
    };
    let share = |share: &Share| {
        json!({
            "storage": (!share.storeid.is_empty()).then_some(&share.storeid), "volumes": share.volumes,
            "promised": share.promised, "used": share.used, "may_grow": share.may_grow,
        })
    };
    json!({
        "pool": name,
        "grade": word(pool.danger),
        "used": pool.room.used,
        "available": pool.room.available,
        "promised": pool.promised,
        "may_grow": pool.room.may_grow,
        "overcommitted": pool.room.is_overcommitted(),
        "shares": pool.shares.iter().map(share).collect::<Vec<Value>>(),
        "largest": pool.largest.iter().map(|(zvol, grow)| json!({"zvol": zvol, "may_grow": grow})).collect::<Vec<Value>>(),
    })
}
