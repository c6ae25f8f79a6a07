// String-heavy C++: split, join, map of strings, substring search, formatting.
#include "bench.h"
#include <algorithm>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

std::vector<std::string> split(const std::string &text, char by)
{
    std::vector<std::string> parts;
    size_t from = 0;
    for (size_t at; (at = text.find(by, from)) != std::string::npos; from = at + 1)
        parts.push_back(text.substr(from, at - from));
    parts.push_back(text.substr(from));
    return parts;
}

std::string join(const std::vector<std::string> &parts, const std::string &by)
{
    std::string out;
    for (const auto &part : parts) {
        if (!out.empty())
            out += by;
        out += part;
    }
    return out;
}

} // namespace

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {71};
    std::string text;
    for (int i = 0; i < 2500; i++) {
        text += "word" + std::to_string(rng_below(&rng, 400));
        text += rng_below(&rng, 8) ? ' ' : ',';
    }
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units * 3; bench_tick(++u, 3)) {
        std::map<std::string, int> ordered;
        std::unordered_map<std::string, uint64_t> counted;
        for (const auto &line : split(text, ','))
            for (auto &word : split(line, ' ')) {
                ordered[word]++;
                counted[word + std::to_string(word.size())] += u;
            }
        std::vector<std::string> names;
        for (const auto &[word, count] : ordered)
            names.push_back(word + "=" + std::to_string(count));
        std::sort(names.begin(), names.end(), [](const auto &a, const auto &b) { return a.size() != b.size() ? a.size() < b.size() : b < a; });
        std::string all = join(names, "; ");
        sum = mix(sum, all.size() + counted.size() + all.find("word399") + (unsigned char)all[sum % all.size()]);
        text[(sum >> 20) % text.size()] = "xyz ,"[sum % 5];
    }
    return bench_done("strings", sum);
}
