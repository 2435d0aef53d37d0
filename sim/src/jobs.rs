//! Jobs (truenas-api.md §3): the call answers with a number, the work goes on.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::spawn_local;

use crate::args::Args;
use crate::errno;
use crate::failure::Failure;
use crate::hub::Hub;
use crate::methods::{Method, Work};
use crate::nas::Caller;
use crate::rpc::Request;
use crate::session::Session;
use crate::zfs;

const REMEMBERED: usize = 1000;
const WORK: Duration = Duration::from_millis(20);

struct Job {
    id: u64,
    method: &'static str,
    arguments: Vec<Value>,
    message_ids: Vec<Value>,
    started: i64,
    finished: Option<i64>,
    outcome: Option<Result<Value, Failure>>,
    user: String,
}

/// Ids begin again at 1 after a restart.
#[derive(Default)]
pub struct Jobs {
    last: u64,
    list: Vec<Job>,
}

impl Jobs {
    fn add(&mut self, method: &'static str, request: &Request, user: &str) -> u64 {
        self.last += 1;
        // truenas-api.md §3: ids 0 and "" are not recorded.
        let recorded = |id: &&Value| **id != json!(0) && **id != json!("");
        self.list.push(Job {
            id: self.last,
            method,
            arguments: request.params.clone(),
            message_ids: request.id.iter().filter(recorded).cloned().collect(),
            started: zfs::now(),
            finished: None,
            outcome: None,
            user: user.to_owned(),
        });
        if self.list.len() > REMEMBERED {
            self.list.remove(0);
        }
        self.last
    }

    fn finish(&mut self, id: u64, outcome: Result<Value, Failure>) {
        if let Some(job) = self.list.iter_mut().find(|job| job.id == id) {
            job.finished = Some(zfs::now());
            job.outcome = Some(outcome);
        }
    }

    fn outcome(&self, id: u64) -> Option<Option<Result<Value, Failure>>> {
        self.list
            .iter()
            .find(|job| job.id == id)
            .map(|job| job.outcome.clone())
    }

    pub fn rows(&self) -> Vec<Value> {
        self.list.iter().map(row).collect()
    }
}

fn row(job: &Job) -> Value {
    let date = |seconds: i64| json!({"$date": seconds * 1000});
    let (state, percent) = match &job.outcome {
        None => ("RUNNING", 0),
        Some(Ok(_)) => ("SUCCESS", 100),
        Some(Err(_)) => ("FAILED", 100),
    };
    let failure = job.outcome.as_ref().and_then(|outcome| outcome.as_ref().err());
    json!({
        "id": job.id, "message_ids": job.message_ids, "method": job.method, "arguments": job.arguments,
        "transient": false, "description": null, "abortable": false, "logs_path": null, "logs_excerpt": null,
        "progress": {"percent": percent, "description": "", "extra": null},
        "result": job.outcome.as_ref().and_then(|outcome| outcome.as_ref().ok()),
        "result_encoding_error": null, "error": failure.map(Failure::text), "exception": failure.map(Failure::text),
        "exc_info": failure.map(info), "state": state,
        "time_started": date(job.started), "time_finished": job.finished.map(date),
        "credentials": {"type": "API_KEY", "data": {"username": job.user}},
    })
}

fn info(failure: &Failure) -> Value {
    let (kind, errno, extra) = match failure {
        Failure::Invalid(complaints) => ("VALIDATION", Value::Null, json!(complaints)),
        Failure::Call { errno, .. } => ("CallError", json!(errno), Value::Null),
        _ => ("Exception", Value::Null, Value::Null),
    };
    json!({"repr": failure.text(), "type": kind, "errno": errno, "extra": extra})
}

/// Starts a job; answers with its number, or with its outcome when the session asked for that.
pub async fn start(
    session: &Rc<Session>,
    method: &'static Method,
    request: &Request,
) -> Result<Value, Failure> {
    let hub = Rc::clone(&session.hub);
    let id = hub.jobs.borrow_mut().add(method.name, request, &hub.key.user);
    let (params, caller) = (request.params.clone(), session.caller());
    let work = spawn_local(async move {
        let outcome = work(&hub, method, &params, &caller).await;
        hub.jobs.borrow_mut().finish(id, outcome);
    });
    if session.legacy_jobs.get() {
        return Ok(json!(id));
    }
    let lost = || Failure::call(errno::EFAULT, "The job is gone");
    work.await.map_err(|_| lost())?;
    session.hub.jobs.borrow().outcome(id).flatten().ok_or_else(lost)?
}

async fn work(hub: &Rc<Hub>, method: &Method, params: &[Value], caller: &Caller) -> Result<Value, Failure> {
    tokio::time::sleep(WORK).await;
    match method.work {
        Work::Job(work) => {
            let outcome = work(&mut hub.nas(), caller, &Args(params));
            hub.write_exports();
            outcome
        }
        _ => wait(hub, u64::try_from(Args(params).int(0)).unwrap_or_default()).await,
    }
}

/// core.job_wait is a job itself.
async fn wait(hub: &Hub, id: u64) -> Result<Value, Failure> {
    loop {
        let outcome = hub.jobs.borrow().outcome(id);
        match outcome {
            None => return Err(Failure::missing("Job", id)),
            Some(Some(outcome)) => return outcome,
            Some(None) => tokio::time::sleep(WORK).await,
        }
    }
}
