"""Generate parts of the documentation: commands, modules, public API.

    mkdocs build --strict

mkdocs.yml names this module as a hook. It needs no TensorFlow: commands are imported for their
flags, which they define without it, and other modules are parsed for their docstrings.

A page of docs/ has a marker where a generated part goes, `<!-- generated: commands -->`. README.md
is the home page of the site, and other files outside of docs/ are pages as well (`ROOT_PAGES`).
Links between pages, and to other files of the repository, are adapted to the site.
"""

import ast
import importlib
import posixpath
import re
from pathlib import Path
from typing import Any

from absl import flags

import groovae
from groovae.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parent.parent

# Pages of the site that are files outside of docs/.
ROOT_PAGES = {
    "README.md": "index.md",
    "README.ko.md": "korean.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "groovae/bundled/groovae_4bar/README.md": "model-card.md",
    "groovae/bundled/groovae_2bar/README.md": "model-card-2bar.md",
    "groovae/bundled/groovae_2bar_humanize_hits/README.md": "model-card-humanize.md",
}
MARKER = re.compile(r"<!-- generated: (\w+) -->")
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")
CHOICES = re.compile(r"<([^>]+)>: ")
CODE_SPAN = re.compile(r"`[^`\n]+`")
FLAG = re.compile(r"(?<![\w`-])(--[a-z]\w*(?:=(?:'[^']*'|[^\s;,)]*[^\s;,.)]))?)")


# What is documented


def commands() -> dict[str, Any]:
    """Return the modules of all commands by name."""
    return {name: importlib.import_module(f"groovae.cli.commands.{name}") for name in COMMANDS}


def flags_of(command: Any) -> flags.FlagValues:
    """Return the flags that a command defines."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    command.define_flags(values)
    return values


def modules() -> dict[str, str]:
    """Return the first sentence of the docstring of each module that is not empty."""
    found = {}
    for path in sorted((ROOT / "groovae").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text("utf-8"))
        if tree.body:
            paragraph = (ast.get_docstring(tree) or "").partition("\n\n")[0]
            found[name] = re.split(r"(?<=\.)\s", " ".join(paragraph.split()))[0]
    return found


def links(text: str) -> list[str]:
    """Return the relative links of a page, without fragments and those in code."""
    return LINK.findall(CODE_SPAN.sub("", FENCED.sub("", text)))


# Generated Markdown


def command_reference() -> str:
    """Return a table of all commands, and a section on each."""
    rows = [
        f"| [`groovae {name}`](#groovae-{name}) | {summary} |" for name, summary in COMMANDS.items()
    ]
    table = "\n".join(["## All commands", "", "| command | purpose |", "|---|---|", *rows])
    sections = [_command_section(name, command) for name, command in commands().items()]
    return "\n\n".join([table, *sections])


def _command_section(name: str, command: Any) -> str:
    summary, _, rest = command.__doc__.strip().partition("\n")
    text = summary.partition(": ")[2] or summary
    parts = [f"## groovae {name}", prose(text[:1].upper() + text[1:])]
    for block in re.split(r"\n\s*\n", rest.strip()):
        lines = block.splitlines()
        if lines[0].startswith("Usage: "):
            parts.append(_fenced([line[len("Usage: ") :] for line in lines]))
        elif all(line.startswith(" ") for line in lines[1:]) and lines[0].endswith(":"):
            parts += [f"**{lines[0]}**", _fenced([line.removeprefix("  ") for line in lines[1:]])]
        else:
            parts.append(prose(" ".join(lines)))
    values = flags_of(command)
    parts += ["**Flags:**", *(_flag(values[name]) for name in values)]
    return "\n\n".join(parts)


def _flag(flag: Any) -> str:
    name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}"
    details = [] if flag.boolean or flag.flag_type() == "string enum" else [flag.flag_type()]
    help_text = flag.help.partition(";\n")[0]  # absl adds that a flag may be repeated
    if choices := CHOICES.match(help_text):  # which absl puts in front
        details.append(" or ".join(f"`{choice}`" for choice in choices[1].split("|")))
        help_text = help_text[choices.end() :]
    if flag.default not in (None, []):
        details.append(f"default `{flag.default_as_str.strip(chr(39))}`")
    about = f" ({', '.join(details)})" if details else ""
    return f"`{name}`{about}\n:   {prose(help_text)}"


def prose(text: str) -> str:
    """Return plain text as Markdown, with flags in code and special characters escaped."""
    parts = re.split(rf"({CODE_SPAN.pattern})", text)
    for i in range(0, len(parts), 2):
        pieces = FLAG.split(parts[i])
        pieces[::2] = [
            re.sub(r"([*_\[\]])", r"\\\1", piece.replace("<", "&lt;")) for piece in pieces[::2]
        ]
        pieces[1::2] = [f"`{piece}`" for piece in pieces[1::2]]
        parts[i] = "".join(pieces)
    return "".join(parts)


def _fenced(lines: list[str]) -> str:
    return "\n".join(["```text", *lines, "```"])


def module_list() -> str:
    """Return a heading for each package, and a linked line for each of its modules."""
    parts = []
    for package, names in _by_package().items():
        parts.append(f"### {package}")
        for name, line in names.items():
            command = name.partition(".commands.")[2]
            link = f"(cli.md#groovae-{command})" if command else f"[{name}]"
            parts.append(
                f"[`{name}`]{link}\n:   {prose(line.removeprefix(f'groovae {command}: '))}"
            )
    return "\n\n".join(parts)


def _by_package() -> dict[str, dict[str, str]]:
    packages: dict[str, dict[str, str]] = {}
    for name, line in modules().items():
        first = ".".join(name.split(".")[:2])
        package = first if (ROOT / first.replace(".", "/")).is_dir() else "groovae"
        packages.setdefault(package, {})[name] = line
    return packages


def public_api() -> str:
    """Return the public names for mkdocstrings, in the order of groovae's docstring."""
    names = re.findall(r"^    (\w+)  ", groovae.__doc__ or "", re.MULTILINE)
    entries = [f"{groovae._PUBLIC[name]}.{name}" for name in names if name != "configs"]
    # References lead to the page of the package.
    options = "    options: {skip_local_inventory: true, show_root_full_path: false}"
    return "\n\n".join(f"::: {entry}\n{options}" for entry in entries)


def package_reference(package: str, names: dict[str, str]) -> str:
    """Return the page of a package: its modules, except for commands, which cli.md has."""
    shown = [name for name in names if ".commands." not in name]
    return "\n\n".join([f"# {package}", *(f"::: {name}" for name in shown)])


GENERATED = {"commands": command_reference, "modules": module_list, "api": public_api}


def pages() -> dict[str, str]:
    """Return the Markdown of the pages that are not files of docs/, by their path on the site."""
    made = {page: (ROOT / source).read_text("utf-8") for source, page in ROOT_PAGES.items()}
    for package, names in _by_package().items():
        made[f"reference/{package}.md"] = package_reference(package, names)
    return made


# Hooks of mkdocs


def on_config(config: Any) -> Any:
    """Add the reference of each package to the navigation."""
    reference = next(entry["Reference"] for entry in config.nav if "Reference" in entry)
    reference += [f"reference/{package}.md" for package in _by_package()]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are not files of docs/, and the other files that pages link to."""
    from mkdocs.structure.files import File

    sources = {f"docs/{file.src_uri}": file.content_string for file in files.documentation_pages()}
    sources |= {source: (ROOT / source).read_text("utf-8") for source in ROOT_PAGES}
    for page, text in pages().items():
        files.append(File.generated(config, page, content=text))
    for source, text in sources.items():
        for link in links(text):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
            path = ROOT / target
            if target in ROOT_PAGES or target.startswith("docs/") or not path.is_file():
                continue
            if files.get_file_from_path(target) is None:
                files.append(File.generated(config, target, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Insert the generated parts, and adapt links to the site."""
    site_path = page.file.src_uri
    source = {page: source for source, page in ROOT_PAGES.items()}.get(site_path)
    text = MARKER.sub(lambda found: GENERATED[found[1]](), markdown)
    return _site_links(text, source or f"docs/{site_path}", site_path)


def _site_links(text: str, source: str, site_path: str) -> str:
    def adapt(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[1]))
        target = ROOT_PAGES.get(target, target.removeprefix("docs/"))
        return posixpath.relpath(target, posixpath.dirname(site_path) or ".")

    return LINK.sub(adapt, text)
