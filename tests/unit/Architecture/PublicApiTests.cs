using System.Text;
using IommuFd.Client;
using IommuFd.Devices.Pci;
using IommuFd.GrainInterfaces;
using IommuFd.UnitTests.Support;
using PublicApiGenerator;

namespace IommuFd.UnitTests.Architecture;

// Programs are written against the public API, so that a review must see each change of it, as a change of a file beside this one. The files show [Alias] and [Id] too, on
// which other silos and journals depend.

public sealed class PublicApiTests
{
    // Names the folder of the approved files. If it is set, the tests write the files instead of comparing them.
    private const string AcceptVariable = "IOMMUFD_ACCEPT_API";

    private static readonly ApiGeneratorOptions Options = new()
    {
        IncludeAssemblyAttributes = false,
        DenyNamespacePrefixes = ["System", "Microsoft", "OrleansCodeGen"],
        ExcludeAttributes = ["System.CodeDom.Compiler.GeneratedCodeAttribute"],
    };

    [Theory]
    [InlineData("IommuFd.Client", typeof(IommufdClient))]
    [InlineData("IommuFd.Devices", typeof(PciFunction))]
    [InlineData("IommuFd.GrainInterfaces", typeof(IContextGrain))]
    public void The_public_API_is_the_approved_one(string name, Type type)
    {
        var file = $"{name}.approved.txt";
        var api = type.Assembly.GeneratePublicApi(Options).ReplaceLineEndings("\n").TrimEnd('\n') + "\n";
        if (Environment.GetEnvironmentVariable(AcceptVariable) is { Length: > 0 } folder)
        {
            File.WriteAllText(Path.Combine(folder, file), api);
            return;
        }

        var approved = Path.Combine(AppContext.BaseDirectory, "Architecture", file);
        var difference = LineDifference.Between(File.Exists(approved) ? File.ReadAllText(approved) : "", api);
        Expect.That(
            difference.Length == 0,
            $"The public API of {name} differs from tests/unit/Architecture/{file}. If you want the change, accept it with 'make api' and commit the file.\n{difference}");
    }

    [Fact]
    public void A_changed_API_is_shown_by_its_lines()
    {
        const string Before = "class A\none\ntwo\nthree\nclass B\none\n";
        Expect.Equal("", LineDifference.Between(Before, Before), "the difference to itself");
        Expect.Equal("- two\n+ 2\n+ 2.5\n- one\n", LineDifference.Between(Before, "class A\none\n2\n2.5\nthree\nclass B\n"), "the difference to another");
    }

    /// <summary>The lines that only one of two texts has, in order.</summary>
    private static class LineDifference
    {
        public static string Between(string before, string after)
        {
            var (old, now) = (before.Split('\n'), after.Split('\n'));
            var common = LongestCommonTails(old, now);
            var text = new StringBuilder();
            var (i, j) = (0, 0);
            while (i < old.Length || j < now.Length)
            {
                if (i < old.Length && j < now.Length && old[i] == now[j])
                {
                    (i, j) = (i + 1, j + 1);
                }
                else if (j == now.Length || (i < old.Length && common[i + 1, j] >= common[i, j + 1]))
                {
                    text.Append("- ").Append(old[i++]).Append('\n');
                }
                else
                {
                    text.Append("+ ").Append(now[j++]).Append('\n');
                }
            }

            return text.ToString();
        }

        // [i, j]: how many lines old from i on and now from j on have in common, in order.
        private static int[,] LongestCommonTails(string[] old, string[] now)
        {
            var common = new int[old.Length + 1, now.Length + 1];
            for (var i = old.Length - 1; i >= 0; i--)
            {
                for (var j = now.Length - 1; j >= 0; j--)
                {
                    common[i, j] = old[i] == now[j] ? common[i + 1, j + 1] + 1 : Math.Max(common[i + 1, j], common[i, j + 1]);
                }
            }

            return common;
        }
    }
}
