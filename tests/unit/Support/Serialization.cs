using Microsoft.Extensions.DependencyInjection;
using Orleans.Serialization;

namespace IommuFd.UnitTests.Support;

/// <summary>Orleans' serializer, as a silo has it.</summary>
internal static class Serialization
{
    public static readonly Serializer Serializer = new ServiceCollection().AddSerializer().BuildServiceProvider().GetRequiredService<Serializer>();

    /// <summary>What is there after a value was written and read.</summary>
    public static T RoundTrip<T>(this T value) => Serializer.Deserialize<T>(Serializer.SerializeToArray(value))!;
}
