"""Media types by file name, and file name endings by media type. Pure.

The table is our own. Python's `mimetypes` reads files of the system such as `/etc/mime.types`,
which differ between machines and are missing in slim images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_TABLE: Final = """
application/epub+zip epub
application/gzip gz tgz svgz taz
application/java-archive jar
application/json json ipynb
application/ld+json jsonld
application/manifest+json webmanifest
application/msword doc dot
application/n-quads nq
application/n-triples nt
application/octet-stream bin a dll exe o so npy npz pkl pt pth ckpt onnx br z
application/pdf pdf
application/postscript ps ai eps
application/rtf rtf
application/sql sql
application/toml toml
application/trig trig
application/vnd.apache.arrow.file arrow feather
application/vnd.apache.parquet parquet
application/vnd.apple.mpegurl m3u8 m3u
application/vnd.ms-excel xls
application/vnd.ms-fontobject eot
application/vnd.ms-powerpoint ppt pot pps
application/vnd.oasis.opendocument.presentation odp
application/vnd.oasis.opendocument.spreadsheet ods
application/vnd.oasis.opendocument.text odt
application/vnd.openxmlformats-officedocument.presentationml.presentation pptx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet xlsx
application/vnd.openxmlformats-officedocument.wordprocessingml.document docx
application/vnd.rar rar
application/vnd.sqlite3 sqlite sqlite3 db
application/wasm wasm
application/x-7z-compressed 7z
application/x-bzip2 bz2 tbz2
application/x-cpio cpio
application/x-hdf5 h5 hdf5
application/x-latex latex
application/x-ndjson jsonl ndjson
application/x-netcdf nc cdf
application/x-pkcs12 p12 pfx
application/x-python-code pyc
application/x-safetensors safetensors
application/x-sh sh
application/x-shockwave-flash swf
application/x-subrip srt
application/x-tar tar
application/x-tex tex
application/x-xz xz txz
application/xml xml xsl rdf wsdl
application/yaml yaml yml
application/zip zip
application/zstd zst
audio/aac aac adts
audio/amr amr
audio/basic au snd
audio/flac flac
audio/midi mid midi
audio/mp4 m4a m4b
audio/mpeg mp3 mp2 mpga
audio/ogg ogg oga spx
audio/opus opus
audio/wav wav
audio/webm weba
audio/x-aiff aiff aif aifc
audio/x-caf caf
audio/x-ms-wma wma
font/collection ttc
font/otf otf
font/ttf ttf
font/woff woff
font/woff2 woff2
image/apng apng
image/avif avif
image/bmp bmp
image/gif gif
image/heic heic
image/heif heif
image/jp2 jp2
image/jpeg jpg jpeg jpe jfif
image/jxl jxl
image/png png
image/svg+xml svg
image/tiff tiff tif
image/vnd.adobe.photoshop psd
image/vnd.microsoft.icon ico
image/vnd.radiance hdr
image/webp webp
image/x-exr exr
image/x-portable-anymap pnm
image/x-portable-bitmap pbm
image/x-portable-graymap pgm
image/x-portable-pixmap ppm
image/x-tga tga
message/rfc822 eml mht mhtml
model/gltf+json gltf
model/gltf-binary glb
model/mtl mtl
model/obj obj
model/stl stl
model/vnd.usdz+zip usdz
model/x-fbx fbx
model/x-ply ply
text/calendar ics
text/css css
text/csv csv
text/html html htm
text/javascript js mjs
text/markdown md markdown
text/plain txt text log bat c h ksh pl ini cfg conf
text/richtext rtx
text/tab-separated-values tsv
text/vcard vcf
text/vtt vtt
text/x-python py
text/x-rst rst
video/3gpp 3gp 3gpp
video/3gpp2 3g2 3gpp2
video/mp2t ts m2ts
video/mp4 mp4 m4v
video/mpeg mpeg mpg mpe m1v
video/ogg ogv
video/quicktime mov qt
video/webm webm
video/x-flv flv
video/x-matroska mkv
video/x-ms-wmv wmv
video/x-msvideo avi
"""
"""A media type and its endings, the usual one first."""

_ALIASES: Final[Mapping[str, str]] = {
    "application/arrow": "application/vnd.apache.arrow.file",
    "application/bzip2": "application/x-bzip2",
    "application/javascript": "text/javascript",
    "application/jsonl": "application/x-ndjson",
    "application/jsonlines": "application/x-ndjson",
    "application/ndjson": "application/x-ndjson",
    "application/ogg": "audio/ogg",
    "application/parquet": "application/vnd.apache.parquet",
    "application/x-compressed-tar": "application/gzip",
    "application/x-gzip": "application/gzip",
    "application/x-javascript": "text/javascript",
    "application/x-jsonlines": "application/x-ndjson",
    "application/x-mpegurl": "application/vnd.apple.mpegurl",
    "application/x-pdf": "application/pdf",
    "application/x-rar-compressed": "application/vnd.rar",
    "application/x-sqlite3": "application/vnd.sqlite3",
    "application/x-yaml": "application/yaml",
    "application/x-zip": "application/zip",
    "application/x-zip-compressed": "application/zip",
    "audio/3gpp": "video/3gpp",
    "audio/3gpp2": "video/3gpp2",
    "audio/aiff": "audio/x-aiff",
    "audio/m4a": "audio/mp4",
    "audio/mp3": "audio/mpeg",
    "audio/mpeg3": "audio/mpeg",
    "audio/mpegurl": "application/vnd.apple.mpegurl",
    "audio/vnd.wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/vorbis": "audio/ogg",
    "audio/wave": "audio/wav",
    "audio/x-aac": "audio/aac",
    "audio/x-flac": "audio/flac",
    "audio/x-m4a": "audio/mp4",
    "audio/x-midi": "audio/midi",
    "audio/x-mp3": "audio/mpeg",
    "audio/x-mpeg": "audio/mpeg",
    "audio/x-mpegurl": "application/vnd.apple.mpegurl",
    "audio/x-ogg": "audio/ogg",
    "audio/x-opus": "audio/opus",
    "audio/x-pn-wav": "audio/wav",
    "audio/x-wav": "audio/wav",
    "image/icon": "image/vnd.microsoft.icon",
    "image/jfif": "image/jpeg",
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/svg": "image/svg+xml",
    "image/tif": "image/tiff",
    "image/x-bmp": "image/bmp",
    "image/x-icon": "image/vnd.microsoft.icon",
    "image/x-ms-bmp": "image/bmp",
    "image/x-png": "image/png",
    "image/x-webp": "image/webp",
    "model/gltf": "model/gltf+json",
    "model/x.stl-binary": "model/stl",
    "application/sla": "model/stl",
    "text/json": "application/json",
    "text/x-csv": "text/csv",
    "text/x-markdown": "text/markdown",
    "text/x-vcard": "text/vcard",
    "text/xml": "application/xml",
    "text/yaml": "application/yaml",
    "text/x-yaml": "application/yaml",
    "video/avi": "video/x-msvideo",
    "video/m4v": "video/mp4",
    "video/matroska": "video/x-matroska",
    "video/msvideo": "video/x-msvideo",
    "video/x-m4v": "video/mp4",
    "video/x-mpeg": "video/mpeg",
}
"""Other names of media types that servers and models use."""

_ROWS: Final = [row.split() for row in _TABLE.split("\n") if row]
_TYPES: Final[Mapping[str, str]] = {ending: kind for kind, *endings in _ROWS for ending in endings}
_ENDINGS: Final[Mapping[str, str]] = {kind: f".{first}" for kind, first, *_ in _ROWS}


def type_of(name: str) -> str | None:
    """Return the media type of a file name or path, or `None` if it is unknown.

    For a compressed file (`a.tar.gz`), the type of the compression counts: those are the bytes that
    are sent.
    """
    stem, _, ending = name.rpartition("/")[2].rpartition(".")
    return _TYPES.get(ending.lower()) if stem.strip(".") else None


def ending_of(kind: str) -> str:
    """Return the ending of a file name for a media type, such as `.png`, or an empty text.

    Args:
        kind: The media type, in any case and with or without parameters.
    """
    kind = kind.partition(";")[0].strip().lower()
    return _ENDINGS.get(_ALIASES.get(kind, kind)) or _ENDINGS.get(_suffix_type(kind), "")


def _suffix_type(kind: str) -> str:
    """Return the media type of a structured suffix: `application/json` for `x/y+json`."""
    return f"application/{kind.rpartition('+')[2]}" if "+" in kind else ""
