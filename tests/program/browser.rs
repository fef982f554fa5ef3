//! A browser without a window and without a network, which shows a file and is asked what it sees.
//!
//! It is driven over a pair of pipes, so that no port is needed: one JSON object after the other, each with a nought behind it.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::rehearsal::Folder;

/// Longer than any test takes; a browser that hangs ends then, and its test with it.
const LIFE_SECONDS: &str = "100";

/// What is asked of every page: which texts of pictures overlap or leave them, whether anything is wider than the window, and
/// what each picture that is shown consists of.
const LOOK: &str = r"(() => {
    const visible = element => element.getClientRects().length > 0;
    const pictures = [...document.querySelectorAll('svg[aria-label]')].filter(visible);
    const box = element => element.getBoundingClientRect();
    const meets = (a, b) => a.left < b.right - 0.5 && b.left < a.right - 0.5 && a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5;
    const faults = [];
    for (const picture of pictures) {
        const texts = [...picture.querySelectorAll('text')];
        for (const [place, text] of texts.entries()) {
            const [inner, outer] = [box(text), box(picture)];
            if (inner.left < outer.left || inner.right > outer.right || inner.top < outer.top || inner.bottom > outer.bottom)
                faults.push(`${text.textContent} leaves its picture`);
            if (inner.height < 9) faults.push(`${text.textContent} is too small`);
            for (const other of texts.slice(place + 1))
                if (meets(inner, box(other))) faults.push(`${text.textContent} lies on ${other.textContent}`);
        }
    }
    for (const element of document.querySelectorAll('main *'))
        if (visible(element) && box(element).right > innerWidth + 0.5) faults.push(`${element.tagName} ${element.className.baseVal ?? element.className} is too wide`);
    const range = document.createRange();
    for (const cell of document.querySelectorAll('td, th'))
        for (const node of [...cell.childNodes].filter(node => node.nodeType === Node.TEXT_NODE))
            for (const word of node.data.matchAll(/(?<!\S)\S{1,14}(?!\S)/g)) {
                range.setStart(node, word.index); range.setEnd(node, word.index + word[0].length);
                if (new Set([...range.getClientRects()].map(line => line.top)).size > 1) faults.push(`${word[0]} is broken`);
            }
    const count = (picture, what) => picture.querySelectorAll(what).length;
    return {
        faults,
        paper: getComputedStyle(document.body).backgroundColor,
        ink: getComputedStyle(document.body).color,
        text: document.body.innerText,
        pictures: pictures.filter(picture => count(picture, 'text') > 0).map(picture => ({
            label: picture.getAttribute('aria-label'),
            lines: count(picture, 'path.line'), limits: count(picture, 'line.limit'), ticks: count(picture, 'line.tick'),
            foretold: count(picture, 'path.foretold'), shades: count(picture, 'rect'), grid: count(picture, 'line.grid'),
        })),
        bars: pictures.filter(picture => picture.classList.contains('bar')).length,
    };
})()";

/// What is asked of a page as it is printed, on paper of many lengths: which headings stand on another page than the first
/// picture or line of what they name. Columns are parted as pages are.
const PARTED: &str = r"(() => {
    const [main, width, parted] = [document.querySelector('main'), 680, new Set()];
    const page = element => Math.floor((element.getClientRects()[0].left - box.left + 1) / width);
    const box = main.getBoundingClientRect();
    for (let length = 400; length <= 1200; length += 20) {
        main.style.cssText = `width: ${width}px; height: ${length}px; columns: ${width}px; column-gap: 0; column-fill: auto`;
        for (const heading of main.querySelectorAll('h2, h3')) {
            const all = ['figure', 'tr', 'li', 'p'].map(kind => heading.parentElement.querySelector(kind));
            const named = heading.matches('h2') ? all.find(Boolean) : heading.nextElementSibling;
            const first = named.matches('table') ? named.querySelector('tr') : named;
            if (page(heading) !== page(first)) parted.add(`${heading.textContent} at ${length}`);
        }
    }
    return [...parted];
})()";

/// What a browser saw of a page.
pub(crate) struct Seen {
    /// The answer to [`LOOK`].
    pub(crate) page: Value,
    /// What it complained of.
    pub(crate) complaints: Vec<String>,
    /// The addresses that it asked for anything.
    pub(crate) requests: Vec<String>,
    /// The page as it is printed.
    pub(crate) printed: Vec<u8>,
    /// The answer to [`PARTED`].
    pub(crate) parted: Value,
}

/// A browser; dropping it ends it.
pub(crate) struct Browser {
    process: Child,
    orders: File,
    answers: BufReader<File>,
    sent: u64,
    events: Vec<Value>,
    session: Option<String>,
    _profile: Folder,
}

impl Browser {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let profile = Folder::new();
        let pipes = ["orders", "answers"].map(|name| profile.path(name));
        assert!(Command::new("mkfifo").args(&pipes).status().expect("mkfifo").success());
        let mut command = Command::new("sh");
        command.args(["-c", r#"exec 3<"$0/orders" 4>"$0/answers" && exec "$@""#]).arg(profile.path("."));
        command.args(["timeout", LIFE_SECONDS, "chromium", "--headless", "--no-sandbox", "--disable-gpu"]);
        command.args(["--remote-debugging-pipe", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio"]);
        command.args(["--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND"]);
        command
            .arg(format!("--user-data-dir={}", profile.path("profile").to_str().expect("a path")))
            .arg("about:blank");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("a shell");
        // Each waits until the shell has opened the other end.
        let orders = File::options().write(true).open(&pipes[0]).expect("a pipe");
        let answers = BufReader::new(File::open(&pipes[1]).expect("a pipe"));
        let mut browser =
            Self { process, orders, answers, sent: 0, events: Vec::new(), session: None, _profile: profile };
        let target = browser.order("Target.createTarget", &json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = browser.order("Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for room in ["Page", "Network", "Log", "Runtime"] {
            browser.order(&format!("{room}.enable"), &json!({}));
        }
        browser
    }

    /// Looks at a file in a window of this width, in a light or a dark room.
    pub(crate) fn look(&mut self, path: &Path, width: u32, scheme: &str) -> Seen {
        let metrics = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.order("Emulation.setDeviceMetricsOverride", &metrics);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.order("Emulation.setEmulatedMedia", &json!({ "features": features }));
        self.events.clear();
        let url = format!("file://{}", path.to_str().expect("a path"));
        self.order("Page.navigate", &json!({ "url": url }));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            self.receive();
        }
        let looked = self.order("Runtime.evaluate", &json!({ "expression": LOOK, "returnByValue": true }));
        let page = looked["result"]["value"].clone();
        assert!(page.is_object(), "{looked}");
        let printed = self.order("Page.printToPDF", &json!({ "printBackground": true }));
        let printed = printed["data"].as_str().expect("a print");
        let printed = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, printed).expect("base64");
        self.order("Emulation.setEmulatedMedia", &json!({ "media": "print", "features": features }));
        let parted = self.order("Runtime.evaluate", &json!({ "expression": PARTED, "returnByValue": true }));
        let parted = parted["result"]["value"].clone();
        assert!(parted.is_array(), "{parted}");
        self.order("Emulation.setEmulatedMedia", &json!({ "media": "" }));
        let of = |methods: &[&str]| {
            let events = self.events.iter().filter(|event| methods.iter().any(|method| event["method"] == *method));
            events.map(|event| event["params"].clone()).collect::<Vec<_>>()
        };
        let complaints = of(&["Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"]);
        let requests = of(&["Network.requestWillBeSent"]);
        let address = |request: &Value| request["request"]["url"].as_str().unwrap_or_default().to_owned();
        Seen {
            page,
            complaints: complaints.iter().map(Value::to_string).collect(),
            requests: requests.iter().map(address).filter(|address| *address != url).collect(),
            printed,
            parted,
        }
    }

    fn order(&mut self, method: &str, parameters: &Value) -> Value {
        self.sent += 1;
        let mut order = json!({ "id": self.sent, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            order["sessionId"] = json!(session);
        }
        self.orders.write_all(format!("{order}\0").as_bytes()).expect("a browser");
        loop {
            let answer = self.receive();
            if answer["id"] == self.sent {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// The next that it says; an event is kept.
    fn receive(&mut self) -> Value {
        let mut bytes = Vec::new();
        let _count = self.answers.read_until(0, &mut bytes).expect("a pipe");
        assert_eq!(bytes.pop(), Some(0), "the browser has ended");
        let said: Value = serde_json::from_slice(&bytes).expect("JSON");
        if said["id"].is_null() {
            self.events.push(said.clone());
        }
        said
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.session = None;
        self.sent += 1;
        let order = json!({ "id": self.sent, "method": "Browser.close" });
        // Where it has ended already, there is nobody to tell.
        let _told = self.orders.write_all(format!("{order}\0").as_bytes());
        let _ended = self.process.wait();
    }
}
