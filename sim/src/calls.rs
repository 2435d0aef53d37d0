//! A call from its arrival to its answer: limits, login, parameters, faults, time.

use std::rc::Rc;

use serde_json::Value;
use tokio::task::spawn_local;

use crate::args::Args;
use crate::errno;
use crate::failure::Failure;
use crate::faults::{Do, Fault, When};
use crate::iscsi::mappings;
use crate::jobs;
use crate::methods::{self, Method, Work};
use crate::nvmet::namespace;
use crate::rpc::Request;
use crate::rules::Rule;
use crate::session::{Out, Session};
use crate::shape;
use crate::versions::Line;

/// truenas-api.md §1.4: 10 run, 10 wait.
const OUTSTANDING: usize = 20;

type Outcome = Result<Value, Failure>;

pub fn start(session: &Rc<Session>, request: Request, fault: Option<Fault>) {
    let found = find(session, &request.method);
    let method = match found {
        Ok(method) => method,
        Err(failure) => return reply(session, request.id.as_ref(), &Err(failure)),
    };
    if session.outstanding.get() >= OUTSTANDING && session.hub.rules.on(Rule::CallLimit) {
        return reply(session, request.id.as_ref(), &Err(Failure::TooMany));
    }
    session.outstanding.set(session.outstanding.get() + 1);
    let own = Rc::clone(session);
    let task = spawn_local(async move {
        call(&own, method, request, fault).await;
        own.outstanding.set(own.outstanding.get() - 1);
    });
    let mut tasks = session.tasks.borrow_mut();
    tasks.retain(|task| !task.is_finished());
    tasks.push(task.abort_handle());
}

fn reply(session: &Session, id: Option<&Value>, outcome: &Outcome) {
    if let Some(id) = id {
        session.answer(id, outcome);
    }
}

fn find(session: &Session, name: &str) -> Result<&'static Method, Failure> {
    let hub = &session.hub;
    let method = methods::find(name).ok_or(Failure::NoMethod)?;
    if !method.known(session.peer.line) && hub.rules.on(Rule::Removed) {
        return Err(Failure::NoMethod);
    }
    Ok(method)
}

async fn call(session: &Rc<Session>, method: &'static Method, request: Request, fault: Option<Fault>) {
    let unlimited = !session.hub.rules.on(Rule::CallLimit);
    let _slot = if unlimited {
        None
    } else {
        session.running.acquire().await.ok()
    };
    if let Some(fault) = fault.as_ref().filter(|fault| fault.when == When::Before) {
        return strike(session, request.id.as_ref(), fault).await;
    }
    let outcome = run(session, method, &request).await;
    match fault {
        Some(fault) => strike(session, request.id.as_ref(), &fault).await,
        None => reply(session, request.id.as_ref(), &outcome),
    }
}

async fn strike(session: &Session, id: Option<&Value>, fault: &Fault) {
    match fault.r#do {
        Do::Error => reply(session, id, &Err(fault.failure())),
        Do::Close => session.send(Out::Break),
        Do::Restart => session.hub.restart(),
        Do::Hang => session.closed().await,
    }
}

async fn run(session: &Rc<Session>, method: &'static Method, request: &Request) -> Outcome {
    admit(session, method).await?;
    older_line(session, method)?;
    shape::check(
        method.params,
        &request.params,
        session.peer.line,
        &session.hub.rules,
    )?;
    match method.work {
        Work::Session(work) => {
            tokio::time::sleep(session.hub.latency()).await;
            let answer = work(session, &Args(&request.params));
            tokio::time::sleep(answer.after).await;
            answer.outcome
        }
        Work::Job(_) | Work::JobWait => {
            tokio::time::sleep(session.hub.latency()).await;
            jobs::start(session, method, request).await
        }
        Work::Nas(_) if session.hub.options.lun_race && RACING.contains(&method.name) => {
            race(session, request).await
        }
        Work::Nas(work) => {
            tokio::time::sleep(session.hub.latency()).await;
            let outcome = work(&mut session.hub.nas(), &session.caller(), &Args(&request.params));
            if method.writes {
                session.hub.write_exports();
            }
            outcome
        }
    }
}

/// What is checked first and inserted later, with nothing that holds between.
const RACING: &[&str] = &["iscsi.targetextent.create", "nvmet.namespace.create"];

/// The window that the server leaves open, made wide (truenas-api.md §5.4).
async fn race(session: &Session, request: &Request) -> Outcome {
    const WINDOW: std::time::Duration = std::time::Duration::from_millis(100);
    let (hub, args) = (&session.hub, Args(&request.params));
    let window = hub.latency().max(WINDOW);
    let outcome = if request.method.starts_with("nvmet.") {
        let planned = namespace::plan(&hub.nas(), &args)?;
        tokio::time::sleep(window).await;
        namespace::insert(&mut hub.nas(), &session.caller(), planned)
    } else {
        let planned = mappings::plan(&hub.nas(), &args)?;
        tokio::time::sleep(window).await;
        Ok(mappings::insert(&mut hub.nas(), planned))
    };
    hub.write_exports();
    outcome
}

/// Login, or for methods that need none the limiter (truenas-api.md §2.6).
async fn admit(session: &Session, method: &Method) -> Result<(), Failure> {
    let hub = &session.hub;
    if !method.before_login(session.peer.line) {
        session.check_login()?;
        let allowed = session.user().1.allow(method.name) || !hub.rules.on(Rule::Roles);
        return if allowed {
            Ok(())
        } else {
            Err(Failure::refused(errno::EACCES, "Not authorized"))
        };
    }
    if session.logged_in() || method.name == "core.set_options" {
        return Ok(());
    }
    let admitted = hub
        .limiter
        .borrow_mut()
        .admits(method.name, session.peer.ip, &hub.rules);
    if !admitted {
        let delay = hub.penalty(1000, 10_000);
        tokio::time::sleep(delay).await;
        return Err(Failure::refused(errno::EBUSY, "Rate Limit Exceeded"));
    }
    Ok(())
}

/// truenas-api.md §1.1: through a directory of an older major line these have no adapter.
fn older_line(session: &Session, method: &Method) -> Result<(), Failure> {
    const WITHOUT: &[&str] = &[
        "pool.dataset.create",
        "pool.dataset.update",
        "pool.dataset.delete",
    ];
    let lost = WITHOUT.contains(&method.name)
        || method.name.starts_with("pool.snapshot.")
        || method.name.starts_with("zfs.snapshot.")
        || method.name.starts_with("service.");
    let older = session.peer.line < session.hub.version.line && session.peer.line >= Line::V25_04;
    if lost && older && session.hub.rules.on(Rule::OlderLine) {
        return Err(Failure::call(
            errno::ENOMETHOD,
            format!("Method {:?} not found", method.name),
        ));
    }
    Ok(())
}
