/*
 * The one C++ file: TOML by toml11, JSON by nlohmann/json, both turned into the tree of document.h.
 *
 * Every exception ends here. The tree is malloc'd; a half-made one is freed. Nesting is bounded before a
 * parser that recurses sees the bytes.
 */
#include "julia/document.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <new>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <toml.hpp>
#include <utility>
#include <vector>

extern "C" {
#include "base/json.h" /* sg_utf8_len() */
}

namespace {

char *copy(const std::string &text) {
    char *p = static_cast<char *>(std::malloc(text.size() + 1));
    if (p == nullptr)
        throw std::bad_alloc();
    std::memcpy(p, text.data(), text.size());
    p[text.size()] = '\0';
    return p;
}

void room(sg_doc *to, std::size_t n, bool table) {
    to->kind = table ? SG_DOC_TABLE : SG_DOC_ARRAY;
    to->item = static_cast<sg_doc *>(std::calloc(n + 1, sizeof *to->item));
    to->key = table ? static_cast<char **>(std::calloc(n + 1, sizeof *to->key)) : nullptr;
    if (to->item == nullptr || (table && to->key == nullptr))
        throw std::bad_alloc();
    to->n = n;
}

void text(sg_doc *to, const std::string &value) {
    to->text = copy(value);
    to->size = value.size();
    to->kind = SG_DOC_TEXT;
}

void check(int depth) {
    if (depth > SG_DOC_DEPTH)
        throw std::runtime_error("nested too deeply");
}

template <typename Table, typename Fill> void fill_table(sg_doc *to, const Table &table, Fill fill) {
    std::vector<std::pair<std::string, const typename Table::mapped_type *>> sorted;
    for (const auto &pair : table)
        sorted.emplace_back(pair.first, &pair.second);
    std::sort(sorted.begin(), sorted.end(),
              [](const auto &a, const auto &b) { return std::strcmp(a.first.c_str(), b.first.c_str()) < 0; });
    for (std::size_t i = 0; i < sorted.size(); i++) {
        if (std::strlen(sorted[i].first.c_str()) != sorted[i].first.size())
            throw std::runtime_error("a key with a NUL in it");
    }
    room(to, sorted.size(), true);
    for (std::size_t i = 0; i < sorted.size(); i++) {
        to->key[i] = copy(sorted[i].first);
        fill(&to->item[i], *sorted[i].second);
    }
}

void put(sg_doc *to, const toml::value &value, int depth) {
    check(depth);
    switch (value.type()) {
    case toml::value_t::boolean:
        to->kind = SG_DOC_BOOL;
        to->truth = value.as_boolean();
        break;
    case toml::value_t::integer:
        to->kind = SG_DOC_INT;
        to->integer = value.as_integer();
        break;
    case toml::value_t::floating:
        to->kind = SG_DOC_REAL;
        to->real = value.as_floating();
        break;
    case toml::value_t::string:
        text(to, toml::get<std::string>(value));
        break;
    case toml::value_t::array: {
        const auto &array = value.as_array();
        room(to, array.size(), false);
        for (std::size_t i = 0; i < array.size(); i++)
            put(&to->item[i], array[i], depth + 1);
        break;
    }
    case toml::value_t::table:
        fill_table(to, value.as_table(),
                   [depth](sg_doc *item, const toml::value &v) { put(item, v, depth + 1); });
        break;
    default:
        to->kind = SG_DOC_OTHER;
    }
}

void put(sg_doc *to, const nlohmann::json &value, int depth) {
    check(depth);
    if (value.is_boolean()) {
        to->kind = SG_DOC_BOOL;
        to->truth = value.get<bool>();
    } else if (value.is_number_unsigned() &&
               value.get<std::uint64_t>() >
                   static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        to->kind = SG_DOC_OTHER;
    } else if (value.is_number_integer()) {
        to->kind = SG_DOC_INT;
        to->integer = value.get<std::int64_t>();
    } else if (value.is_number()) {
        to->kind = SG_DOC_REAL;
        to->real = value.get<double>();
    } else if (value.is_string()) {
        text(to, value.get_ref<const std::string &>());
    } else if (value.is_array()) {
        room(to, value.size(), false);
        for (std::size_t i = 0; i < value.size(); i++)
            put(&to->item[i], value[i], depth + 1);
    } else if (value.is_object()) {
        fill_table(to, value.get_ref<const nlohmann::json::object_t &>(),
                   [depth](sg_doc *item, const nlohmann::json &v) { put(item, v, depth + 1); });
    }
}

/* toml11 3.7 reads beyond its buffer while it complains about a text that is not UTF-8. */
void check_text(const char *bytes, std::size_t size) {
    const unsigned char *p = reinterpret_cast<const unsigned char *>(bytes);
    for (std::size_t at = 0, n; at < size; at += n) {
        n = sg_utf8_len(p + at, size - at);
        if (n == 0)
            throw std::runtime_error("not UTF-8");
    }
}

/* Dots of one key; each is a table, and toml11 copies all of them for each. */
const long dots_max = 1024;

/* The parsers recurse: brackets are counted before they run, wherever they stand, and dots that no other sign
 * of the language stands between. A line of dots may be a comment. */
void bound(const char *bytes, std::size_t size) {
    long depth = 0, dots = 0;
    bool comment = false;
    for (std::size_t i = 0; i < size; i++) {
        if (bytes[i] == '\n')
            depth = depth < 0 ? 0 : depth;
        if (bytes[i] == '\n' || bytes[i] == '=' || bytes[i] == ',' || bytes[i] == '{')
            dots = 0;
        if (i == 0 || bytes[i - 1] == '\n')
            comment = bytes[i] == '#';
        dots += bytes[i] == '.' && !comment;
        if (dots > dots_max)
            throw std::runtime_error("nested too deeply");
        depth += bytes[i] == '[' || bytes[i] == '{' ? 1 : bytes[i] == ']' || bytes[i] == '}' ? -1 : 0;
        if (depth > 4 * SG_DOC_DEPTH)
            throw std::runtime_error("nested too deeply");
    }
}

/* The length of the comment or text of TOML that begins here; 0: neither does. */
std::size_t text_length(const std::string &all, std::size_t at) {
    const char quote = all[at];
    if (quote == '#')
        return std::min(all.find('\n', at), all.size()) - at;
    if (quote != '"' && quote != '\'')
        return 0;
    const std::string three(3, quote);
    const bool lines = all.compare(at, 3, three) == 0;
    std::size_t i = at + (lines ? 3 : 1);
    while (i < all.size() && (lines ? all.compare(i, 3, three) != 0 : all[i] != quote && all[i] != '\n'))
        i += quote == '"' && all[i] == '\\' ? 2 : 1;
    i += lines ? 3 : 1;
    for (int more = 0; lines && more < 2 && i < all.size() && all[i] == quote; more++)
        i++;
    return std::min(i, all.size()) - at;
}

/* An integer beyond 64 bits: toml11 3.7 takes another number for it, and says nothing. */
bool too_large(const std::string &word) {
    const std::size_t sign = word[0] == '+' || word[0] == '-' ? 1 : 0;
    const std::string prefix = word.substr(sign, 2);
    const int base = prefix == "0o" ? 8 : prefix == "0x" ? 16 : 10;
    const std::size_t at = base == 10 ? sign : sign + 2;
    if (word.find_first_not_of(base == 16 ? "0123456789abcdefABCDEF" : "0123456789", at) != word.npos)
        return false;
    errno = 0;
    std::strtoll(word.c_str() + (base == 10 ? 0 : at), nullptr, base);
    return errno == ERANGE;
}

/* Its sum of 63 binary digits overflows, whatever follows them. */
bool too_long(const std::string &word) {
    return word.compare(0, 2, "0b") == 0 && std::min(word.find_first_not_of("01", 2), word.size()) > 64;
}

/* Every word outside of texts and comments that is not a key. */
void check_numbers(const std::string &all) {
    const char *const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.:";
    for (std::size_t at = 0, end; at < all.size(); at = end) {
        end = at + text_length(all, at);
        if (end != at)
            continue;
        end = std::min(all.find_first_not_of(letters, at), all.size());
        std::string word = all.substr(at, end - at);
        word.erase(std::remove(word.begin(), word.end(), '_'), word.end());
        const std::size_t next = all.find_first_not_of(" \t", end);
        const bool key = next != all.npos && all[next] == '=';
        if (too_long(word) || (!key && too_large(word)))
            throw std::runtime_error("an integer beyond 64 bits");
        end = std::max(end, at + 1);
    }
}

/* The first line that says something, without the location, which is not this caller's. */
void explain(const std::exception &error, char *why, std::size_t size) {
    std::string what = error.what();
    std::size_t at = what.find("[error] ");
    if (at != std::string::npos)
        what = what.substr(at + 8);
    what = what.substr(0, what.find('\n'));
    std::snprintf(why, size, "%s", what.empty() ? "cannot be read" : what.c_str());
}

template <typename Parse>
sg_doc *guarded(const char *bytes, std::size_t size, char *why, std::size_t room_, Parse parse) {
    sg_doc *doc = nullptr;
    try {
        doc = static_cast<sg_doc *>(std::calloc(1, sizeof *doc));
        if (doc == nullptr)
            throw std::bad_alloc();
        check_text(bytes, size);
        bound(bytes, size);
        put(doc, parse(), 0);
        return doc;
    } catch (const std::exception &error) {
        explain(error, why, room_);
    } catch (...) {
        std::snprintf(why, room_, "cannot be read");
    }
    sg_doc_free(doc);
    return nullptr;
}

} // namespace

extern "C" bool sg_doc_possible(void) {
    return true;
}

extern "C" sg_doc *sg_doc_toml(const char *bytes, size_t size, char *why, size_t room) {
    return guarded(bytes, size, why, room, [=] {
        const std::string all(bytes, size);
        check_numbers(all);
        std::istringstream stream(all);
        return toml::parse(stream, "TOML");
    });
}

extern "C" sg_doc *sg_doc_json(const char *bytes, size_t size, char *why, size_t room) {
    return guarded(bytes, size, why, room, [=] { return nlohmann::json::parse(bytes, bytes + size); });
}
