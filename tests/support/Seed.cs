using System.Globalization;
using Xunit.Abstractions;

namespace IommuFd.TestSupport;

/// <summary>
/// Where a random test's choices come from: each run draws another seed and says which, and the environment variable <c>IOMMUFD_SEED</c> gives one of an earlier
/// run. Tests of CsCheck take no seed from here: one that fails says with which value of the variable <c>CsCheck_Seed</c> it fails again, by the same case or a
/// smaller one.
/// </summary>
public static class Seed
{
    public const string Variable = "IOMMUFD_SEED";

    /// <summary>The seed of this run. The test's output says how to run it again.</summary>
    /// <param name="output">The test's output.</param>
    /// <exception cref="FormatException">The variable is set to what is no 32-bit number.</exception>
    public static int Of(ITestOutputHelper output) => Of(output, Environment.GetEnvironmentVariable(Variable));

    /// <summary>The seed of this run, where the variable is <paramref name="given"/>; null where it is not set.</summary>
    internal static int Of(ITestOutputHelper output, string? given)
    {
        var seed = string.IsNullOrEmpty(given) ? Random.Shared.Next() : Parse(given);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Variable}={seed} replays this"));
        return seed;
    }

    private static int Parse(string given)
        => int.TryParse(given, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var seed)
            ? seed
            : throw new FormatException($"{Variable} is '{given}': a seed is a 32-bit number, such as 123456789. Without the variable a test draws one.");
}
