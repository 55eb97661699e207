using System.Text;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.UnitTests.Support;
using PublicApiGenerator;

namespace IommuFd.UnitTests.Architecture;

// What programs are written against: a change of it is seen in a review, as a change of a file beside this one. Of the contracts, the attributes are shown too, since
// [Alias] and [Id] are what other silos and journals know.

public sealed class PublicApiTests
{
    // The folder of the approved files, to which the surfaces are written instead of being compared.
    private const string AcceptVariable = "IOMMUFD_ACCEPT_API";

    private static readonly ApiGeneratorOptions Options = new()
    {
        IncludeAssemblyAttributes = false,
        DenyNamespacePrefixes = ["System", "Microsoft", "OrleansCodeGen"],
        ExcludeAttributes = ["System.CodeDom.Compiler.GeneratedCodeAttribute"],
    };

    [Theory]
    [InlineData("IommuFd.Client", typeof(IommufdClient))]
    [InlineData("IommuFd.GrainInterfaces", typeof(IContextGrain))]
    public void The_public_surface_is_the_one_that_was_approved(string name, Type type)
    {
        var file = $"{name}.approved.txt";
        var surface = type.Assembly.GeneratePublicApi(Options).ReplaceLineEndings("\n").TrimEnd('\n') + "\n";
        if (Environment.GetEnvironmentVariable(AcceptVariable) is { Length: > 0 } folder)
        {
            File.WriteAllText(Path.Combine(folder, file), surface);
            return;
        }

        var approved = Path.Combine(AppContext.BaseDirectory, "Architecture", file);
        var difference = LineDifference.Between(File.Exists(approved) ? File.ReadAllText(approved) : "", surface);
        Expect.That(
            difference.Length == 0,
            $"The public surface of {name} differs from tests/unit/Architecture/{file}. If that is what you want, 'make api' accepts it; commit the file then.\n{difference}");
    }

    [Fact]
    public void A_changed_surface_is_shown_by_its_lines()
    {
        const string Before = "class A\none\ntwo\nthree\nclass B\none\n";
        Expect.Equal("", LineDifference.Between(Before, Before), "the difference to itself");
        Expect.Equal("- two\n+ 2\n+ 2.5\n- one\n", LineDifference.Between(Before, "class A\none\n2\n2.5\nthree\nclass B\n"), "the difference to another");
    }

    /// <summary>The lines that one text has and the other has not, in their order.</summary>
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

        // [i, j]: how many lines the rest of the one from i and the rest of the other from j have in common.
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
