// A small ray tracer: virtual intersection tests, doubles, sqrt and divisions.
#include "bench.h"
#include <cmath>
#include <memory>
#include <vector>

namespace {

struct Vec {
    double x, y, z;
};

Vec operator+(Vec a, Vec b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
Vec operator-(Vec a, Vec b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
Vec operator*(Vec a, double s) { return {a.x * s, a.y * s, a.z * s}; }
double dot(Vec a, Vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
Vec unit(Vec a) { return a * (1.0 / std::sqrt(dot(a, a))); }

struct Object {
    double shine;
    explicit Object(double s) : shine(s) {}
    virtual ~Object() = default;
    // The distance along the ray at which it meets the object, or a negative number.
    virtual double meet(Vec from, Vec direction) const = 0;
    virtual Vec normal(Vec at) const = 0;
};

struct Sphere final : Object {
    Vec centre;
    double radius;
    Sphere(Vec c, double r, double s) : Object(s), centre(c), radius(r) {}
    double meet(Vec from, Vec direction) const override
    {
        Vec to = centre - from;
        double along = dot(to, direction);
        double gap = radius * radius - dot(to, to) + along * along;
        if (gap < 0)
            return -1;
        double near = along - std::sqrt(gap);
        return near > 1e-6 ? near : -1;
    }
    Vec normal(Vec at) const override { return unit(at - centre); }
};

struct Floor final : Object {
    double height;
    Floor(double h, double s) : Object(s), height(h) {}
    double meet(Vec from, Vec direction) const override
    {
        if (direction.y > -1e-9 && direction.y < 1e-9)
            return -1;
        double t = (height - from.y) / direction.y;
        return t > 1e-6 ? t : -1;
    }
    Vec normal(Vec) const override { return {0, 1, 0}; }
};

using Scene = std::vector<std::unique_ptr<Object>>;

const Object *nearest(const Scene &scene, Vec from, Vec direction, double &distance)
{
    const Object *hit = nullptr;
    distance = 1e30;
    for (const auto &object : scene) {
        double t = object->meet(from, direction);
        if (t > 0 && t < distance) {
            distance = t;
            hit = object.get();
        }
    }
    return hit;
}

double shade(const Scene &scene, Vec from, Vec direction, int depth)
{
    double distance;
    const Object *hit = nearest(scene, from, direction, distance);
    if (!hit)
        return 0.2 + 0.5 * direction.y;
    Vec at = from + direction * distance;
    Vec n = hit->normal(at);
    Vec light = unit({1, 2, -1});
    double blocked;
    double diffuse = nearest(scene, at, light, blocked) ? 0.0 : std::fmax(0.0, dot(n, light));
    double value = 0.1 + 0.7 * diffuse;
    if (depth > 0 && hit->shine > 0)
        value += hit->shine * shade(scene, at, unit(direction - n * (2 * dot(direction, n))), depth - 1);
    return value;
}

} // namespace

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {42};
    Scene scene;
    scene.push_back(std::make_unique<Floor>(-1.0, 0.2));
    for (int i = 0; i < 9; i++)
        scene.push_back(std::make_unique<Sphere>(
            Vec{rng_below(&rng, 600) / 100.0 - 3, rng_below(&rng, 200) / 100.0 - 1, 3 + rng_below(&rng, 400) / 100.0},
            0.4 + rng_below(&rng, 60) / 100.0, 0.1 * (i % 4)));
    uint64_t sum = 1;
    const int width = 64, height = 48;
    for (unsigned long u = 0; u < units; bench_tick(++u, 1)) {
        Vec eye = {0.01 * (double)(u % 100), 0.5, -2};
        double total = 0;
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) {
                Vec direction = unit({(x - width / 2) / 32.0, (height / 2 - y) / 32.0, 1.5});
                total += shade(scene, eye, direction, 3);
            }
        sum = mix_f64(sum, total);
    }
    return bench_done("raytrace", sum);
}
