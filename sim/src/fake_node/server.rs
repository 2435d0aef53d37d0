//! The socket, and the one loop in which everything happens in its order.

use std::cell::{RefCell, RefMut};
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{LocalSet, spawn_local};

use super::node::Node;
use super::programs::{self, note};
use super::question::{Question, Reply};
use super::trouble::{self, Do, When};
use super::{SOCKET, client};

/// Between two looks at what was written and what is due. Whoever asks does not wait for one.
const LOOK: Duration = Duration::from_millis(10);
const ENOENT: i32 = 2;
const ECONNREFUSED: i32 = 111;

#[derive(Clone)]
pub struct Shared(Rc<RefCell<Node>>);

impl Shared {
    /// The node after all that was written to its files before this moment. Never held while waiting.
    pub fn now(&self) -> RefMut<'_, Node> {
        let mut node = self.0.borrow_mut();
        node.catch_up();
        node
    }
}

/// Stays until it is told to end.
pub fn serve(root: &Path, exports: &Path, binary: &Path) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let node = Node::boot(root, exports)?;
        programs::install(&node.folder, binary)?;
        let listener = UnixListener::bind(node.folder.at(SOCKET)?)?;
        let [mut terminate, mut interrupt] =
            [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
        let mut stdout = io::stdout();
        writeln!(stdout, "node: fake {}", node.folder.root().display())?;
        stdout.flush()?;
        let shared = Shared(Rc::new(RefCell::new(node)));
        let ended = tokio::select! {
            ended = accept(&shared, listener) => ended,
            () = keep_time(&shared) => Ok(()),
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        };
        // From here on the folder has files, but no devices.
        ended.and(shared.now().folder.remove(SOCKET))
    })
}

async fn accept(node: &Shared, listener: UnixListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let node = node.clone();
        spawn_local(async move {
            let _the_other_end_left = answer(&node, stream).await;
        });
    }
}

async fn keep_time(node: &Shared) {
    loop {
        node.now().run_due();
        tokio::time::sleep(LOOK).await;
    }
}

async fn answer(node: &Shared, stream: UnixStream) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).await?;
    let question: Question = serde_json::from_str(&line)?;
    let words: Vec<&str> = question.iter().map(String::as_str).collect();
    if words == ["events"] {
        let mut announcements = node.now().announcements.subscribe();
        writer.write_all(client::READY.as_bytes()).await?;
        while let Ok(announcement) = announcements.recv().await {
            writer.write_all(format!("{announcement}\n").as_bytes()).await?;
        }
        return Ok(());
    }
    let reply = match hit(node, &words)? {
        Some((When::Before, Do::Hang)) => return std::future::pending().await,
        Some((When::Before, Do::Error)) => trouble::failure(&words),
        Some((When::After, what)) => {
            reply(node, &words).await?;
            match what {
                Do::Hang => return std::future::pending().await,
                Do::Error => trouble::failure(&words),
            }
        }
        None => reply(node, &words).await?,
    };
    let text = serde_json::to_string(&reply)?;
    writer.write_all(format!("{text}\n").as_bytes()).await
}

/// What others ask is no question of the plugin's.
fn hit(node: &Shared, words: &[&str]) -> io::Result<Option<(When, Do)>> {
    let mut node = node.now();
    let node: &mut Node = &mut node;
    match words {
        ["run", "iscsiadm" | "multipath" | "multipathd", ..] => node.trouble.hit(&node.folder, words),
        ["run", ..] => Ok(None),
        _ => node.trouble.hit(&node.folder, words),
    }
}

async fn reply(node: &Shared, words: &[&str]) -> io::Result<Reply> {
    Ok(match words {
        [
            "run",
            program @ ("iscsiadm" | "multipath" | "multipathd"),
            arguments @ ..,
        ] => {
            note(node, program, arguments)?;
            programs::run(node, program, arguments).await
        }
        ["run", program, arguments @ ..] => programs::run(node, program, arguments).await,
        others => simple(&node.now(), others),
    })
}

/// What the plugin asks where it would ask a kernel.
fn simple(node: &Node, words: &[&str]) -> Reply {
    let failed = |errno| Reply::exit(errno, "");
    match words {
        // Before and after an attribute is written.
        ["set", ..] | ["sync"] => Reply::done(""),
        ["identify", name] => node.identify(name).map_or_else(failed, Reply::done),
        ["size", name] => node
            .size(name)
            .map_or_else(failed, |bytes| Reply::done(bytes.to_string())),
        ["portal", address] => match address.parse() {
            Ok(portal) if node.portal_answers(portal) => Reply::done(""),
            _ => failed(ECONNREFUSED),
        },
        _ => failed(ENOENT),
    }
}
