using System.Reflection;
using System.Text.RegularExpressions;
using IommuFd.Silo;
using IommuFd.Uapi;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.Extensions.DependencyInjection;

namespace IommuFd.ClusterTests.Operations;

/// <summary>What the README and the docs show is true.</summary>
public sealed partial class DocsTests
{
    [Fact]
    public async Task The_compatibility_table_has_every_command_with_its_sizes()
    {
        var table = await File.ReadAllTextAsync(Path.Combine(AppContext.BaseDirectory, "compatibility.md"));

        Assert.All(IoctlTable.All, command => Assert.Contains(
            $"| {command.Name} | 0x{(uint)command.Command & 0xFF:X2} | {command.Size} ({command.MinSize}) |", table, StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_example_of_the_README_compiles_and_runs()
    {
        var example = CSharpBlock().Match(await File.ReadAllTextAsync(Path.Combine(AppContext.BaseDirectory, "README.md"))).Groups[1].Value;
        Assert.NotEmpty(example);
        var usings = string.Concat(example.Split('\n').Where(line => line.StartsWith("using ", StringComparison.Ordinal) && line.TrimEnd().EndsWith(';') && !line.Contains('(', StringComparison.Ordinal)).Select(line => $"{line}\n"));
        var body = string.Join('\n', example.Split('\n').Where(line => !usings.Contains($"{line}\n", StringComparison.Ordinal)));
        var source = $$"""
            using System;
            using System.Threading.Tasks;
            using Orleans;
            {{usings}}
            public static class Example
            {
                public static async Task RunAsync(IGrainFactory grains)
                {
                    {{body}}
                }
            }
            """;
        var compilation = CSharpCompilation.Create(
            "ReadmeExample",
            [CSharpSyntaxTree.ParseText(source)],
            ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator).Select(path => MetadataReference.CreateFromFile(path)),
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary));
        using var assembly = new MemoryStream();
        var result = compilation.Emit(assembly);
        Assert.True(result.Success, string.Join('\n', result.Diagnostics.Where(diagnostic => diagnostic.Severity == DiagnosticSeverity.Error)));

        using var host = await SiloHost.StartInProcessAsync();
        var run = Assembly.Load(assembly.ToArray()).GetType("Example")!.GetMethod("RunAsync")!;
        await (Task)run.Invoke(null, [host.Services.GetRequiredService<IGrainFactory>()])!;
        await host.StopAsync();
    }

    [GeneratedRegex("```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex CSharpBlock();
}
