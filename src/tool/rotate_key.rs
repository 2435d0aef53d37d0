//! `rotate-key`, as people and programs read it.

use std::time::Duration;

use serde_json::{Value, json};

use super::arguments::RotateKey;
use super::progress::Progress;
use super::{Exit, Said, key_file};
use crate::config::Config;
use crate::config::secrets::Secret;
use crate::config::section::Section;
use crate::error::Result;
use crate::ops::{self, KeyOrder};

pub fn run(order: &RotateKey) -> Result<Said> {
    let config = Section::named(&order.storage)?.config()?;
    if order.try_next {
        ops::try_next_key(&config)?;
        return Ok(said(
            "the new key works here\n".into(),
            json!({"tried": true}),
            Exit::Done,
        ));
    }
    let key = order.key_file.as_deref().map(key_file::read).transpose()?;
    match order.apply {
        false => plan(&config, key.is_some()),
        true => rotate(&config, order, key),
    }
}

fn plan(config: &Config, given: bool) -> Result<Said> {
    let plan = ops::plan_key_rotation(config)?;
    let (storeid, user) = (&config.storeid, &plan.user);
    let old = plan.old.map_or("?".to_owned(), |id| id.to_string());
    let what = match (plan.half_done, given) {
        (true, _) => "a rotation was cut off after its key was stored; --apply finishes it".to_owned(),
        (false, true) => {
            "the given key is tried on every node and stored; then the old one is revoked".to_owned()
        }
        (false, false) => {
            format!(
                "a new key of user '{user}' is made, tried on every node and stored; then the old one is revoked"
            )
        }
    };
    let text = format!(
        "{storeid}: uses API key {old} of user '{user}'\n  {what}\nNothing was changed. With --apply it is done.\n"
    );
    let object = json!({"storage": storeid, "state": "planned", "user": user, "old": plan.old, "half_done": plan.half_done});
    Ok(said(text, object, Exit::Done))
}

fn rotate(config: &Config, order: &RotateKey, key: Option<Secret>) -> Result<Said> {
    let wanted = KeyOrder {
        key,
        user: order.user.clone(),
        grace: Duration::from_secs(order.grace),
        keep_old: order.keep_old,
    };
    let mut steps = Vec::new();
    let progress = Progress::new();
    let kept = ops::rotate_key(config, &wanted, &mut |step| {
        progress.say(&step);
        steps.push(step);
    })?;
    let mut text = format!("{}: a new API key is in use\n", config.storeid);
    // Who has seen them come does not need them again.
    let unseen = steps.iter().filter(|_| !progress.is_followed_by_the_text());
    unseen.for_each(|step| text.push_str(&format!("  {step}\n")));
    let mut exit = Exit::Done;
    if let Some(why) = kept.as_ref().filter(|_| !order.keep_old) {
        text.push_str(&format!("  the old key was not revoked: {why}\n"));
        exit = Exit::Warning;
    }
    let object = json!({"storage": config.storeid, "state": "rotated", "steps": steps, "old_kept": kept});
    Ok(said(text, object, exit))
}

fn said(text: String, json: Value, exit: Exit) -> Said {
    Said {
        text,
        json,
        warnings: Vec::new(),
        tells_all: false,
        exit,
    }
}
