using System.Diagnostics;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Architecture;

/// <summary>Who sees this for the first time has the SDK and a minute: what 'make demo' and 'make run' would do, as make itself says, is to build and start one program.</summary>
public sealed class MakefileTests
{
    // How commands name what installs packages, and what tests and benchmarks are built from.
    private static readonly string[] Heavy = ["tests/", "IommuFd.Actors.sln", "bench", "apt-get"];

    [Theory]
    [InlineData("demo", "client/cli", "iommufd.dll")]
    [InlineData("run", "silo", "iommufd-silo.dll")]
    public async Task A_first_look_installs_nothing_and_builds_no_tests(string target, string project, string program)
    {
        var commands = await CommandsAsync(target);

        Expect.That(commands.Contains($"dotnet restore {project} ", StringComparison.Ordinal), $"'make {target}' does not restore {project}: {commands}");
        Expect.That(commands.Contains($"dotnet msbuild {project} ", StringComparison.Ordinal), $"'make {target}' does not build {project}: {commands}");
        Expect.That(commands.Contains(program, StringComparison.Ordinal), $"'make {target}' does not start {program}: {commands}");
        Expect.Sequence([], Named(commands), $"what 'make {target}' has to do with tests");
    }

    [Theory]
    [InlineData("test", new[] { "tests/", "IommuFd.Actors.sln" })]
    [InlineData("bench", new[] { "tests/", "bench" })]
    public async Task The_rule_finds_what_other_targets_install_and_build(string target, string[] expected)
        => Expect.Sequence(expected, Named(await CommandsAsync(target)), $"what 'make {target}' has to do with tests");

    private static IEnumerable<string> Named(string commands) => Heavy.Where(name => commands.Contains(name, StringComparison.Ordinal));

    private static async Task<string> CommandsAsync(string target)
    {
        var start = new ProcessStartInfo("make", ["--dry-run", "--no-print-directory", "--file", Path.Combine(AppContext.BaseDirectory, "Makefile"), target])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = AppContext.BaseDirectory,
        };

        // What the make that runs the tests was told is not for this one.
        start.Environment.Remove("MAKEFLAGS");
        using var make = Process.Start(start)!;
        var errors = make.StandardError.ReadToEndAsync();
        var commands = await make.StandardOutput.ReadToEndAsync();
        await make.WaitForExitAsync();
        Expect.That(make.ExitCode == 0, $"make ended with {make.ExitCode}: {await errors}");
        return commands;
    }
}
