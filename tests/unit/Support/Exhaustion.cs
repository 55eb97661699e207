using System.Runtime.CompilerServices;
using IommuFd.Grains.Model;

namespace IommuFd.UnitTests.Support;

/// <summary>Makes a table believe that all of its 2^31 - 1 ids are taken, for which no test has the memory.</summary>
internal static class Exhaustion
{
    public static void Exhaust(ObjectTable objects) => Exhaust(Ids(objects));

    public static void Exhaust(IdAllocator ids) => SetCount(ids, (int)IdAllocator.Max);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_ids")]
    private static extern ref IdAllocator Ids(ObjectTable objects);

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "set_Count")]
    private static extern void SetCount(IdAllocator ids, int count);
}
